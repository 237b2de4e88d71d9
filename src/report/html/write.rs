//! Puts the page together: a template, the style, the script and the data, each
//! a file of its own. A policy in the page lets a browser run this script and
//! apply this style, known by their digests, and nothing else.

use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, context, syntax::SyntaxConfig, value::Serde};
use sha2::{Digest, Sha256};

use super::{FIRST_LINE, HtmlError, view::View};

const STYLE: &str = include_str!("../templates/html/page.css");
/// How numbers are written, and what is done with them.
const SCRIPT: &str = concat!(
    include_str!("../templates/html/format.js"),
    include_str!("../templates/html/page.js"),
    include_str!("../templates/html/charts.js")
);

static TEMPLATES: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    // Tenths of a percent as a percentage, for the width of a bar.
    templates.add_filter("percent", |tenths: i64| {
        let tenths = tenths.clamp(0, 1000);
        format!("{}.{}", tenths / 10, tenths % 10)
    });
    templates.add_template("page.html", include_str!("../templates/html/page.html"))?;
    Ok(templates)
});

pub(super) fn page(view: &View, data: &str) -> Result<String, HtmlError> {
    let templates = match &*TEMPLATES {
        Ok(templates) => templates,
        Err(error) => return Err(minijinja::Error::new(error.kind(), error.to_string()).into()),
    };
    let text = templates.get_template("page.html")?.render(context! {
        view => Serde(view),
        style => STYLE,
        script => SCRIPT,
        style_digest => digest(STYLE),
        script_digest => digest(SCRIPT),
        data => data,
    })?;
    Ok(format!("{FIRST_LINE}\n{text}"))
}

/// As a policy names a text that may be used.
fn digest(text: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(text.as_bytes())))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let bits = part.iter().chain([0, 0].iter()).take(3).fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        for at in 0..4 {
            let letter = LETTERS[bits >> (18 - 6 * at) & 63];
            text.push(if at <= part.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_as_browsers_write_them() {
        for (text, expect) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(text.as_bytes()), expect);
        }
        assert_eq!(digest("alert('Hello, world.');"), "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=");
    }

    #[test]
    fn the_script_and_the_style_stay_in_their_elements() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.to_lowercase().contains("</") && !text.contains("<!--") && !text.contains('\r'));
        }
    }
}
