//! The table: one row a figure, one column a server, and whether callout's target is met.

use std::fmt::{self, Display, Write as _};

use crate::bench::Rounds;
use crate::server::Kind;
use crate::stats::median;

#[derive(Default)]
pub struct Table {
    lines: Vec<Line>,
}

/// What callout is to reach: by itself, or as a ratio to axum.
#[derive(Clone, Copy)]
pub enum Target {
    None,
    AtMost(f64),
    AtLeast(f64),
    RatioAtMost(f64),
    RatioAtLeast(f64),
}

enum Line {
    Section(&'static str),
    Row(Row),
}

struct Row {
    figure: String,
    decimals: usize,
    values: [Option<f64>; Kind::ALL.len()],
    ratio: Option<f64>,
    target: Target,
}

impl Table {
    pub fn section(&mut self, title: &'static str) {
        self.lines.push(Line::Section(title));
    }

    /// The median of the rounds, and the median of the ratios that callout and axum had in the same
    /// round.
    pub fn row<T>(
        &mut self,
        figure: impl Into<String>,
        decimals: usize,
        rounds: &Rounds<T>,
        target: Target,
        value: impl Fn(&T) -> f64,
    ) {
        let ratio = rounds.get(&Kind::Callout).zip(rounds.get(&Kind::Axum)).map(|(callout, axum)| {
            let pairs = callout.iter().zip(axum);
            median(pairs.map(|(callout, axum)| value(callout) / value(axum)).collect())
        });
        let values = columns(rounds, |rounds| median(rounds.iter().map(&value).collect()));
        self.lines.push(Line::Row(Row { figure: figure.into(), decimals, values, ratio, target }));
    }

    /// The median of the rounds, of something that says how it was measured and not who is better.
    pub fn aside<T>(
        &mut self,
        figure: impl Into<String>,
        decimals: usize,
        rounds: &Rounds<T>,
        value: impl Fn(&T) -> f64,
    ) {
        let values = columns(rounds, |rounds| median(rounds.iter().map(&value).collect()));
        self.lines.push(Line::Row(Row {
            figure: figure.into(),
            decimals,
            values,
            ratio: None,
            target: Target::None,
        }));
    }

    /// The sum of all rounds, where one fault in any of them counts.
    pub fn sum<T>(
        &mut self,
        figure: impl Into<String>,
        rounds: &Rounds<T>,
        target: Target,
        value: impl Fn(&T) -> f64,
    ) {
        let values = columns(rounds, |rounds| rounds.iter().map(&value).sum());
        self.lines.push(Line::Row(Row { figure: figure.into(), decimals: 0, values, ratio: None, target }));
    }
}

fn columns<T>(rounds: &Rounds<T>, value: impl Fn(&[T]) -> f64) -> [Option<f64>; Kind::ALL.len()] {
    Kind::ALL.map(|kind| rounds.get(&kind).map(|rounds| value(rounds)))
}

impl Row {
    /// `None` where there is no target, or nothing was measured to hold against it.
    fn is_met(&self) -> Option<bool> {
        let callout = self.values[Kind::Callout as usize];
        match self.target {
            Target::None => None,
            Target::AtMost(most) => callout.map(|value| value <= most),
            Target::AtLeast(least) => callout.map(|value| value >= least),
            Target::RatioAtMost(most) => self.ratio.map(|ratio| ratio <= most),
            Target::RatioAtLeast(least) => self.ratio.map(|ratio| ratio >= least),
        }
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.figure.clone()];
        for value in self.values {
            cells.push(value.map_or_else(String::new, |value| format!("{value:.*}", self.decimals)));
        }
        cells.push(self.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")));
        cells.push(self.target.to_string());
        let met = self.is_met().map_or("", |met| if met { "yes" } else { "NO" });
        cells.push(met.to_owned());
        cells
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::None => Ok(()),
            Target::AtMost(most) => write!(f, "≤ {most}"),
            Target::AtLeast(least) => write!(f, "≥ {least}"),
            Target::RatioAtMost(most) => write!(f, "≤ {most} × axum"),
            Target::RatioAtLeast(least) => write!(f, "≥ {least} × axum"),
        }
    }
}

/// Markdown, with columns that also stand under each other in a terminal.
impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut header = vec!["figure".to_owned()];
        header.extend(Kind::ALL.map(|kind| kind.name().to_owned()));
        header.extend(["ratio", "target", "met"].map(str::to_owned));
        let rule = vec![String::new(); header.len()];
        let mut rows = vec![header, rule];
        for line in &self.lines {
            match line {
                Line::Section(title) => {
                    let mut cells = vec![String::new(); rows[0].len()];
                    cells[0] = format!("**{title}**");
                    rows.push(cells);
                }
                Line::Row(row) => rows.push(row.cells()),
            }
        }

        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..rows[0].len()).filter_map(width).collect();
        for (index, row) in rows.iter().enumerate() {
            let mut text = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                match (index, column) {
                    (1, 0) => write!(text, "|-{:-<width$}-", "")?,
                    (1, _) => write!(text, "|-{:-<width$}:", "")?,
                    (_, 0) => write!(text, "| {cell:<width$} ")?,
                    _ => write!(text, "| {cell:>width$} ")?,
                }
            }
            writeln!(f, "{text}|")?;
        }
        Ok(())
    }
}
