//! The HTML of a page: a template gives MJML, `mrml` makes of it the tables and
//! inline styles that mail clients need.

use std::{collections::HashMap, sync::LazyLock};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, context, syntax::SyntaxConfig, value::Serde};
use mrml::prelude::render::RenderOptions;

use super::{
    Page, RenderError,
    palette::{DARK, LIGHT},
};

static TEMPLATES: LazyLock<Result<Environment<'static>, String>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().unwrap_or_default());
    templates.add_filter("bar", |tenths: i64| tenths.clamp(0, 1000) / 10);
    let added = templates.add_template("page.mjml", include_str!("../templates/page.mjml"));
    let added = added.and_then(|()| templates.add_template("style.css", include_str!("../templates/style.css")));
    added.map(|()| templates).map_err(|error| format!("{error:#}"))
});

pub(super) fn write(page: &Page) -> Result<String, RenderError> {
    let templates = TEMPLATES.as_ref().map_err(|error| RenderError::Layout(error.clone()))?;
    let mjml = templates
        .get_template("page.mjml")?
        .render(context! { page => Serde(page), light => Serde(LIGHT), dark => Serde(DARK) })?;
    // A percentage is not torn apart at the end of a line.
    let layout = mrml::parse(mjml.replace(" %", "\u{a0}%")).map_err(|error| RenderError::Layout(error.to_string()))?;
    // Without fonts of its own: they would be asked of the network.
    let options = RenderOptions { fonts: HashMap::new(), ..RenderOptions::default() };
    let html = layout.element.render(&options).map_err(|error| RenderError::Layout(error.to_string()))?;
    Ok(html)
}
