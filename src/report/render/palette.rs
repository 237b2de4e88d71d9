//! The colours: a calm grey, one accent, and two for what is not well. Every
//! pair of text and ground has a contrast of at least 4.5.

use serde::Serialize;

/// The colours of a page by what they are for, as `#rrggbb`.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Palette {
    /// Behind everything.
    pub(super) ground: &'static str,
    /// What stands on it.
    pub(super) card: &'static str,
    pub(super) line: &'static str,
    pub(super) text: &'static str,
    pub(super) muted: &'static str,
    pub(super) accent: &'static str,
    /// What a bar has left.
    pub(super) track: &'static str,
    pub(super) warning: &'static str,
    pub(super) warning_ground: &'static str,
    pub(super) grave: &'static str,
    pub(super) grave_ground: &'static str,
}

pub(super) const LIGHT: Palette = Palette {
    ground: "#f3f4f2",
    card: "#ffffff",
    line: "#e3e6e3",
    text: "#1c2320",
    muted: "#5f6b66",
    accent: "#0f766e",
    track: "#e6ebe8",
    warning: "#92500a",
    warning_ground: "#fdf5e6",
    grave: "#b42318",
    grave_ground: "#fdf0ee",
};

pub(super) const DARK: Palette = Palette {
    ground: "#111413",
    card: "#1a1e1c",
    line: "#2f3633",
    text: "#e7ebe9",
    muted: "#9ba8a2",
    accent: "#4fb8ab",
    track: "#2c3330",
    warning: "#e9b35c",
    warning_ground: "#2a2416",
    grave: "#f2897f",
    grave_ground: "#2e1c1a",
};

/// The parts of a colour, for pictures.
pub(super) fn rgb(colour: &str) -> (u8, u8, u8) {
    let part = |at: usize| colour.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or_default();
    (part(1), part(3), part(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contrast that WCAG 2 defines.
    fn contrast(one: &str, other: &str) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.039_28 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let luminance = |colour: &str| {
            let (red, green, blue) = rgb(colour);
            0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
        };
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        if one > other { one / other } else { other / one }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for palette in [LIGHT, DARK] {
            let pairs = [
                (palette.text, palette.card),
                (palette.muted, palette.card),
                (palette.muted, palette.ground),
                (palette.accent, palette.card),
                (palette.warning, palette.card),
                (palette.grave, palette.card),
                (palette.text, palette.warning_ground),
                (palette.text, palette.grave_ground),
            ];
            for (text, ground) in pairs {
                assert!(contrast(text, ground) >= 4.5, "{text} on {ground}: {}", contrast(text, ground));
            }
        }
    }
}
