//! Charts as PNG, the same on every machine: whole pixels, a bundled font, no
//! time in the file. Each has a ground of its own, so that it can be read on
//! light and on dark.

use std::sync::LazyLock;

use plotters::{
    prelude::*,
    style::{
        FontStyle, register_font,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{
    RenderError,
    palette::{LIGHT, rgb},
};
use crate::money::Usd;

/// The width at which a chart is shown; there are twice as many pixels.
pub(crate) const WIDTH: u32 = 574;
const HEIGHT: u32 = 232;
const DENSITY: u32 = 2;

/// A day on a chart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bar {
    pub label: String,
    pub amount: Usd,
    /// A week earlier.
    pub before: Usd,
    /// What a budget has for such a day.
    pub pace: Option<Usd>,
}

/// What the two kinds of bars and the line are called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Legend<'l> {
    pub amount: &'l str,
    pub before: &'l str,
    pub pace: &'l str,
}

type Area<'b> = DrawingArea<BitMapBackend<'b>, plotters::coord::Shift>;

/// Amounts day by day beside those of a week earlier, and a line at what a
/// budget has for each.
pub(crate) fn daily(bars: &[Bar], legend: Legend<'_>) -> Result<Vec<u8>, RenderError> {
    let (width, height) = (WIDTH * DENSITY, HEIGHT * DENSITY);
    let mut pixels = vec![0; usize::try_from(width * height * 3).unwrap_or_default()];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        draw(&area, bars, legend)?;
        area.present().map_err(failed)?;
    }
    png(&pixels, width, height)
}

const SMALL: i32 = 31;
const LEFT: i32 = 28;
const TOP: i32 = 124;
const BOTTOM: i32 = 64;

fn draw(area: &Area<'_>, bars: &[Bar], legend: Legend<'_>) -> Result<(), RenderError> {
    area.fill(&colour(GROUND)).map_err(failed)?;
    let (width, height) = (signed(WIDTH * DENSITY), signed(HEIGHT * DENSITY));
    let floor = height - BOTTOM;
    let highest = bars.iter().flat_map(|bar| [bar.amount, bar.before, bar.pace.unwrap_or_default()]).max();
    let highest = highest.filter(|&amount| amount > Usd::ZERO);
    let has_pace = bars.iter().any(|bar| bar.pace.is_some());
    draw_legend(area, legend, has_pace)?;
    let tall = |amount: Usd| highest.map_or(0, |highest| pixels(amount, highest, floor - TOP));
    let count = i32::try_from(bars.len()).unwrap_or(1).max(1);
    let slot = (width - 2 * LEFT) / count;
    rectangle(area, (LEFT, floor), (width - LEFT, floor + 2), LIGHT.line)?;
    for (at, bar) in (0..).zip(bars) {
        let (left, middle) = (LEFT + at * slot, LEFT + at * slot + slot / 2);
        let half = (slot / 3).min(46);
        // The week before stands behind, to the left.
        rectangle(area, (middle - half - 6, floor - tall(bar.before)), (middle + half / 4, floor), BEFORE)?;
        rectangle(area, (middle - half / 2, floor - tall(bar.amount)), (middle + half + 6, floor), LIGHT.accent)?;
        if let Some(pace) = bar.pace {
            dashes(area, (left, left + slot), floor - tall(pace))?;
        }
        write(area, &bar.label, (middle, floor + 14), HPos::Center, LIGHT.muted)?;
    }
    // Above everything else, so that no line runs through them.
    for (at, bar) in (0..).zip(bars).filter(|(_, bar)| bar.amount > Usd::ZERO) {
        let middle = LEFT + at * slot + slot / 2 + slot / 24;
        let text = short(bar.amount);
        let (wide, _) = area.estimate_text_size(&text, &style(LIGHT.text)).map_err(failed)?;
        if signed(wide) < slot + 8 {
            let top = floor - tall(bar.amount) - SMALL - 11;
            rectangle(
                area,
                (middle - signed(wide) / 2 - 3, top + 2),
                (middle + signed(wide) / 2 + 3, top + SMALL + 3),
                GROUND,
            )?;
            write(area, &text, (middle, top), HPos::Center, LIGHT.text)?;
        }
    }
    if highest.is_none() {
        write(area, "Nothing was spent.", (width / 2, i32::midpoint(TOP, floor) - SMALL), HPos::Center, LIGHT.muted)?;
    }
    Ok(())
}

/// A little darker than the card, in both lights.
const GROUND: &str = "#f6f8f6";
const BEFORE: &str = "#c9d2cd";

fn draw_legend(area: &Area<'_>, legend: Legend<'_>, has_pace: bool) -> Result<(), RenderError> {
    let (mut x, y) = (LEFT, 20);
    for (name, colour, is_line) in
        [(legend.amount, LIGHT.accent, false), (legend.before, BEFORE, false), (legend.pace, LIGHT.grave, true)]
    {
        if is_line && !has_pace {
            continue;
        }
        if is_line {
            rectangle(area, (x, y + 16), (x + 9, y + 19), colour)?;
            rectangle(area, (x + 14, y + 16), (x + 23, y + 19), colour)?;
        } else {
            rectangle(area, (x, y + 7), (x + 22, y + 27), colour)?;
        }
        write(area, name, (x + 34, y), HPos::Left, LIGHT.muted)?;
        let (wide, _) = area.estimate_text_size(name, &style(LIGHT.muted)).map_err(failed)?;
        x += 34 + signed(wide) + 36;
    }
    Ok(())
}

fn dashes(area: &Area<'_>, (from, until): (i32, i32), y: i32) -> Result<(), RenderError> {
    let mut x = from;
    while x < until {
        rectangle(area, (x, y - 1), ((x + 10).min(until), y + 2), LIGHT.grave)?;
        x += 18;
    }
    Ok(())
}

/// From one corner to the other, which is no longer in it.
fn rectangle(area: &Area<'_>, from: (i32, i32), to: (i32, i32), fill: &str) -> Result<(), RenderError> {
    if to.0 <= from.0 || to.1 <= from.1 {
        return Ok(());
    }
    area.draw(&Rectangle::new([from, to], colour(fill).filled())).map_err(failed)
}

fn write(area: &Area<'_>, text: &str, at: (i32, i32), anchor: HPos, fill: &str) -> Result<(), RenderError> {
    area.draw_text(text, &style(fill).pos(Pos::new(anchor, VPos::Top)), at).map_err(failed)
}

const FONT: &str = "bundled";

fn style(fill: &str) -> TextStyle<'static> {
    static REGISTERED: LazyLock<bool> = LazyLock::new(|| {
        let bytes = include_bytes!("../../../data/fonts/DejaVuSans-subset.ttf");
        register_font(FONT, FontStyle::Normal, bytes).is_ok()
    });
    // Without the font every text fails, and says so.
    LazyLock::force(&REGISTERED);
    TextStyle { font: (FONT, SMALL).into_font(), color: colour(fill).to_backend_color(), pos: Pos::default() }
}

fn colour(hex: &str) -> RGBColor {
    let (red, green, blue) = rgb(hex);
    RGBColor(red, green, blue)
}

fn signed(pixels: u32) -> i32 {
    i32::try_from(pixels).unwrap_or(i32::MAX)
}

/// How tall an amount is where the highest is so many pixels; what is there is
/// seen.
fn pixels(amount: Usd, highest: Usd, most: i32) -> i32 {
    let (amount, highest) = (amount.pico().max(0), highest.pico().max(1));
    // Far more digits than there are pixels.
    let shift = highest.ilog10().saturating_sub(20);
    let (amount, highest) = (amount / 10_i128.pow(shift), (highest / 10_i128.pow(shift)).max(1));
    let tall = i32::try_from(amount * i128::from(most) / highest).unwrap_or(most).min(most);
    if amount > 0 { tall.max(2) } else { 0 }
}

/// An amount over a bar: `$12.35`, `$12.35k`, `$12.35M`.
fn short(amount: Usd) -> String {
    let thousand = 1_000 * 10_i128.pow(Usd::SCALE);
    let (divisor, unit) = match amount.pico() {
        pico if pico < thousand => (1, ""),
        pico if pico < 1_000 * thousand => (1_000, "k"),
        _ => (1_000_000, "M"),
    };
    amount.for_quantity(1, divisor).unwrap_or(amount).shown() + unit
}

fn failed(error: impl std::fmt::Display) -> RenderError {
    RenderError::Chart(error.to_string())
}

fn png(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, RenderError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(pixels).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Usd {
        Usd::parse(text).unwrap()
    }

    const LEGEND: Legend<'static> = Legend { amount: "this week", before: "the week before", pace: "budget pace" };

    fn decoded(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    /// How many pixels have exactly this colour.
    fn area(pixels: &[u8], hex: &str) -> usize {
        let (red, green, blue) = rgb(hex);
        pixels.chunks_exact(3).filter(|pixel| *pixel == [red, green, blue]).count()
    }

    #[test]
    fn bars_are_as_tall_as_their_amounts() {
        let bar = |amount: &str, before: &str| Bar {
            label: "Mon 9".to_owned(),
            amount: usd(amount),
            before: usd(before),
            pace: None,
        };
        let one = daily(&[bar("10", "0"), bar("10", "0")], LEGEND).unwrap();
        let half = daily(&[bar("10", "0"), bar("5", "0")], LEGEND).unwrap();
        let (width, height, one) = decoded(&one);
        assert_eq!((width, height), (WIDTH * 2, HEIGHT * 2));
        let (_, _, half) = decoded(&half);
        let swatch = 22 * 20;
        let (one, half) = (area(&one, LIGHT.accent) - swatch, area(&half, LIGHT.accent) - swatch);
        assert_eq!(one * 3, half * 4);
    }

    #[test]
    fn whatever_the_amounts_are_there_is_a_chart_and_always_the_same() {
        let most = Usd::from_pico(10_i128.pow(38) - 1).unwrap();
        let bar = |amount: Usd| Bar { label: "Mon 9".to_owned(), amount, before: amount, pace: Some(amount) };
        for bars in [vec![], vec![bar(Usd::ZERO); 7], vec![bar(most); 7], vec![bar(usd("0.000000000001")), bar(most)]] {
            assert_eq!(daily(&bars, LEGEND).unwrap(), daily(&bars, LEGEND).unwrap());
        }
    }

    #[test]
    fn letters_are_drawn_by_the_bundled_font() {
        let ink = |label: &str| {
            let bar = Bar { label: label.to_owned(), ..Bar::default() };
            let (_, _, pixels) = decoded(&daily(&[bar], LEGEND).unwrap());
            area(&pixels, LIGHT.muted)
        };
        assert!(ink("Mon 9 – $€% ü") > ink("") + 100);
    }

    #[test]
    fn amounts_over_bars_are_short() {
        for (amount, expect) in [
            ("0.0021", "$0.0021"),
            ("12.345", "$12.34"),
            ("999", "$999.00"),
            ("12345.6", "$12.35k"),
            ("2e9", "$2,000.00M"),
        ] {
            assert_eq!(short(usd(amount)), expect);
        }
        assert_eq!(pixels(usd("5"), usd("10"), 100), 50);
        assert_eq!(pixels(usd("0.0001"), usd("10"), 100), 2);
        assert_eq!(pixels(Usd::ZERO, usd("10"), 100), 0);
    }
}
