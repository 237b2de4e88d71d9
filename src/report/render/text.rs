//! The plain text of a page: all that the HTML says, in columns that line up.

use comfy_table::{CellAlignment, Table as Grid, presets};

use super::{Column, Figure, Meter, Page, Part, Picture, Row, Table, Tone};

/// Lines of sentences end before it.
const WIDTH: usize = 76;

pub(super) fn write(page: &Page) -> String {
    let mut text = Text::default();
    text.wrapped(&page.label, "");
    text.out.push('\n');
    text.wrapped(&page.news, "");
    let longest = text.out.lines().skip(2).map(|line| line.chars().count()).max().unwrap_or_default();
    text.line(&"=".repeat(longest.clamp(3, WIDTH)));
    for lead in &page.lead {
        text.out.push('\n');
        text.wrapped(lead, "");
    }
    for part in &page.parts {
        text.out.push('\n');
        text.part(part);
    }
    text.out.push_str("\n--\n");
    for line in &page.footer.lines {
        text.wrapped(line, "");
    }
    if !page.footer.command.is_empty() {
        text.line("Every number recomputes with:");
        text.line(&format!("  {}", page.footer.command));
    }
    text.out
}

#[derive(Default)]
struct Text {
    out: String,
}

impl Text {
    fn line(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    fn heading(&mut self, heading: &str) {
        if !heading.is_empty() {
            self.line(heading);
            self.line(&"-".repeat(heading.chars().count().min(WIDTH)));
        }
    }

    /// A paragraph, its later lines behind `indent`. A percent sign stays with
    /// its number.
    fn wrapped(&mut self, paragraph: &str, indent: &str) {
        let mut words: Vec<String> = Vec::new();
        for word in paragraph.split_whitespace() {
            match words.last_mut() {
                Some(number) if word.starts_with('%') => *number += &format!(" {word}"),
                _ => words.push(word.to_owned()),
            }
        }
        let mut line = String::new();
        for word in &words {
            if !line.trim().is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&line);
                indent.clone_into(&mut line);
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(&line);
    }

    fn part(&mut self, part: &Part) {
        match part {
            Part::Figures { figures } => self.figures(figures),
            Part::Meters { heading, meters } => self.meters(heading, meters),
            Part::Table(table) => self.table(table),
            Part::List { heading, items } => {
                self.heading(heading);
                for item in items {
                    self.wrapped(&format!("- {item}"), "  ");
                }
            }
            Part::Note { tone, text } => {
                let mark = match tone {
                    Tone::Plain => "",
                    Tone::Warning => "Please note: ",
                    Tone::Grave => "Attention: ",
                };
                self.wrapped(&format!("{mark}{text}"), "");
            }
            Part::Chart(picture) => self.picture(picture),
        }
    }

    fn figures(&mut self, figures: &[Figure]) {
        let rows = figures.iter().map(|it| Row::new([it.label.clone(), it.value.clone(), it.note.clone()]));
        let columns = [Column::text(""), Column::number(""), Column::text("")];
        self.grid(&columns, &rows.collect::<Vec<_>>());
    }

    fn meters(&mut self, heading: &str, meters: &[Meter]) {
        self.heading(heading);
        let row = |it: &Meter| Row {
            below: it.note.clone(),
            ..Row::new([it.label.clone(), it.shown.clone(), it.value.clone()])
        };
        let columns = [Column::text(""), Column::number(""), Column::text("")];
        self.grid(&columns, &meters.iter().map(row).collect::<Vec<_>>());
    }

    fn table(&mut self, table: &Table) {
        self.heading(&table.heading);
        if !table.note.is_empty() {
            self.wrapped(&table.note, "");
        }
        self.grid(&table.columns, &table.rows);
        if !table.more.is_empty() {
            self.wrapped(&table.more, "");
        }
    }

    /// The figures of a chart, instead of it.
    fn picture(&mut self, picture: &Picture) {
        self.heading(&picture.heading);
        self.grid(&picture.columns, &picture.rows);
    }

    fn grid(&mut self, columns: &[Column], rows: &[Row]) {
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING);
        if columns.iter().any(|column| !column.title.is_empty()) {
            grid.set_header(columns.iter().map(|column| &column.title));
        }
        for row in rows {
            let mut cells = row.cells.clone();
            if let Some(first) = cells.first_mut().filter(|_| !row.below.is_empty()) {
                *first = format!("{first}\n  {}", row.below);
            }
            grid.add_row(cells);
        }
        for (column, of) in grid.column_iter_mut().zip(columns) {
            column.set_cell_alignment(if of.is_number { CellAlignment::Right } else { CellAlignment::Left });
        }
        let lines: Vec<String> = grid.lines().map(|line| line.trim_end().to_owned()).collect();
        // The style leaves a blank in front.
        let is_indented = lines.iter().all(|line| line.is_empty() || line.starts_with(' '));
        for line in &lines {
            self.line(if is_indented { line.get(1..).unwrap_or_default() } else { line });
        }
    }
}
