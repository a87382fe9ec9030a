//! The table: one row a figure, one column a server, and whether callout reaches its target.

use std::fmt::{self, Display, Write as _};

use crate::bench::Rounds;
use crate::crowd::Faults;
use crate::server::Kind;
use crate::stats::median;

/// A gain below this is reported, where no round contradicts it. Smaller losses cannot be told from
/// the noise of a shared machine.
const GAIN_MIN: f64 = 0.95;

pub struct Table {
    kinds: Vec<Kind>,
    sections: Vec<Section>,
}

/// Which way a figure is better, and what callout is to reach: by itself, or as a ratio to a peer.
#[derive(Clone, Copy)]
pub enum Goal {
    /// Neither way is better: the figure describes how the others were measured.
    None,
    Less,
    More,
    AtMost(f64),
    AtLeast(f64),
    AtMostTimes(f64, Kind),
    AtLeastTimes(f64, Kind),
}

struct Section {
    title: &'static str,
    rows: Vec<Row>,
}

struct Row {
    figure: String,
    decimals: usize,
    /// One for each of the table's servers.
    values: Vec<Option<f64>>,
    /// callout's figure to that of the peer in the goal, or to axum's.
    ratio: Option<f64>,
    gain: Option<Gain>,
    goal: Goal,
}

/// How much better today's callout is than the one before: 2 is twice as good, whichever way the
/// figure is better.
struct Gain {
    median: f64,
    lowest: f64,
    highest: f64,
}

impl Table {
    pub fn new(kinds: &[Kind]) -> Table {
        Table { kinds: kinds.to_vec(), sections: Vec::new() }
    }

    /// Begins a section. Its title, and then each round of its figures, also goes to standard error,
    /// where one sees how far the bench is, and how much the rounds differ.
    pub fn section(&mut self, title: &'static str) {
        eprintln!("\n{title}");
        self.sections.push(Section { title, rows: Vec::new() });
    }

    /// The median of the rounds, and of the ratios between figures of the same round. Nothing is
    /// added where no server was measured.
    pub fn row<T>(
        &mut self,
        figure: impl Into<String>,
        decimals: usize,
        goal: Goal,
        rounds: &Rounds<T>,
        value: impl Fn(&T) -> f64,
    ) {
        let figure = figure.into();
        for (kind, rounds) in rounds {
            let values: Vec<_> = rounds.iter().map(|round| format!("{:.decimals$}", value(round))).collect();
            eprintln!("{figure}: {} {}", kind.name(), values.join(", "));
        }
        let values =
            |kind: &Kind| -> Option<Vec<f64>> { Some(rounds.get(kind)?.iter().map(&value).collect()) };
        let ratios = |a: Kind, b: Kind| -> Option<Vec<f64>> {
            let (a, b) = values(&a).zip(values(&b))?;
            Some(a.iter().zip(b).map(|(a, b)| a / b).collect())
        };
        let ratio = goal.peer().and_then(|peer| ratios(Kind::Callout, peer)).map(median);
        let gains = match goal {
            Goal::None => None,
            Goal::Less | Goal::AtMost(_) | Goal::AtMostTimes(..) => ratios(Kind::Before, Kind::Callout),
            Goal::More | Goal::AtLeast(_) | Goal::AtLeastTimes(..) => ratios(Kind::Callout, Kind::Before),
        };
        self.push(Row {
            figure,
            decimals,
            values: self.kinds.iter().map(|kind| values(kind).map(median)).collect(),
            ratio,
            gain: gains.map(Gain::of),
            goal,
        });
    }

    /// The faults of all these rounds, added up: one fault in any of them counts.
    pub fn faults<T>(&mut self, loads: &[Rounds<T>], faults: impl Fn(&T) -> Faults) {
        let sum = |kind: &Kind| {
            let mut rounds = loads.iter().filter_map(|rounds| rounds.get(kind)).flatten().peekable();
            rounds.peek()?;
            Some(rounds.map(|round| faults(round).count() as f64).sum())
        };
        self.push(Row {
            figure: "lost, doubled, torn or hung up".to_owned(),
            decimals: 0,
            values: self.kinds.iter().map(sum).collect(),
            ratio: None,
            gain: None,
            goal: Goal::AtMost(0.0),
        });
    }

    /// What today's callout lost, in words; `None` where there is no callout of before.
    pub fn comparison(&self) -> Option<String> {
        if !self.kinds.contains(&Kind::Before) {
            return None;
        }
        let loss_percent = (1.0 - GAIN_MIN) * 100.0;
        let mut text =
            format!("Worse than before by more than {loss_percent:.0} %, and worse in every round:\n");
        let headline = text.len();
        for section in &self.sections {
            for row in &section.rows {
                if let Some(gain) = row.gain.as_ref().filter(|gain| gain.is_loss()) {
                    let _ = writeln!(text, "- {}: {}: gain {gain}", section.title, row.figure);
                }
            }
        }
        if text.len() == headline {
            text.push_str("nothing.\n");
        } else {
            text.push_str("One of many figures may be there by chance: run its phase again to see.\n");
        }
        Some(text)
    }

    /// What is wanted of callout beside what was seen: a table of the rows that have a goal.
    pub fn summary(&self) -> String {
        let mut text = "| what | wanted | seen | met |\n|---|--:|--:|--:|\n".to_owned();
        for section in &self.sections {
            for row in &section.rows {
                let Some(seen) = self.callouts_value(row) else { continue };
                let met = match (row.goal, self.is_met(row)) {
                    (Goal::None | Goal::Less | Goal::More, _) => continue,
                    (_, Some(true)) => "yes",
                    (_, Some(false)) => "NO",
                    (_, None) => "the peer is missing",
                };
                let ratio = match (row.goal, row.ratio) {
                    (Goal::AtMostTimes(_, peer) | Goal::AtLeastTimes(_, peer), Some(ratio)) => {
                        format!(", {ratio:.2} × {}", peer.name())
                    }
                    _ => String::new(),
                };
                let _ = writeln!(
                    text,
                    "| {}: {} | {} | {seen:.*}{ratio} | {met} |",
                    section.title, row.figure, row.goal, row.decimals
                );
            }
        }
        text
    }

    fn push(&mut self, row: Row) {
        if row.values.iter().all(Option::is_none) {
            return;
        }
        let section = self.sections.last_mut().expect("a phase begins with a section");
        section.rows.push(row);
    }

    fn header(&self) -> Vec<String> {
        let mut header = vec!["figure".to_owned()];
        header.extend(self.kinds.iter().map(|kind| kind.name().to_owned()));
        header.push("ratio".to_owned());
        if self.kinds.contains(&Kind::Before) {
            header.push("gain (lowest to highest)".to_owned());
        }
        header.extend(["wanted", "met"].map(str::to_owned));
        header
    }

    fn cells(&self, row: &Row) -> Vec<String> {
        let mut cells = vec![row.figure.clone()];
        for value in &row.values {
            cells.push(value.map_or_else(String::new, |value| format!("{value:.*}", row.decimals)));
        }
        cells.push(row.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")));
        if self.kinds.contains(&Kind::Before) {
            cells.push(row.gain.as_ref().map_or_else(String::new, Gain::to_string));
        }
        cells.push(row.goal.to_string());
        let met = self.is_met(row).map_or("", |met| if met { "yes" } else { "NO" });
        cells.push(met.to_owned());
        cells
    }

    fn callouts_value(&self, row: &Row) -> Option<f64> {
        let callout = self.kinds.iter().zip(&row.values).find(|(kind, _)| **kind == Kind::Callout);
        callout.and_then(|(_, value)| *value)
    }

    /// `None` where there is no target, or nothing was measured to hold against it.
    fn is_met(&self, row: &Row) -> Option<bool> {
        let callout = self.callouts_value(row);
        match row.goal {
            Goal::None | Goal::Less | Goal::More => None,
            Goal::AtMost(most) => callout.map(|value| value <= most),
            Goal::AtLeast(least) => callout.map(|value| value >= least),
            Goal::AtMostTimes(most, _) => row.ratio.map(|ratio| ratio <= most),
            Goal::AtLeastTimes(least, _) => row.ratio.map(|ratio| ratio >= least),
        }
    }
}

impl Goal {
    /// Whose figure callout's is compared with.
    fn peer(self) -> Option<Kind> {
        match self {
            Goal::None => None,
            Goal::AtMostTimes(_, peer) | Goal::AtLeastTimes(_, peer) => Some(peer),
            _ => Some(Kind::Axum),
        }
    }
}

impl Gain {
    fn of(rounds: Vec<f64>) -> Gain {
        Gain {
            lowest: rounds.iter().copied().fold(f64::INFINITY, f64::min),
            highest: rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            median: median(rounds),
        }
    }

    fn is_loss(&self) -> bool {
        self.median < GAIN_MIN && self.highest < 1.0
    }
}

impl Display for Gain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2} to {:.2})", self.median, self.lowest, self.highest)
    }
}

impl Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::None | Goal::Less | Goal::More => Ok(()),
            Goal::AtMost(most) => write!(f, "≤ {most}"),
            Goal::AtLeast(least) => write!(f, "≥ {least}"),
            Goal::AtMostTimes(most, peer) => write!(f, "≤ {most} × {}", peer.name()),
            Goal::AtLeastTimes(least, peer) => write!(f, "≥ {least} × {}", peer.name()),
        }
    }
}

/// Markdown, with columns that are also aligned in a terminal.
impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.header();
        let blank = vec![String::new(); header.len()];
        let mut lines = vec![header, blank.clone()];
        for section in self.sections.iter().filter(|section| !section.rows.is_empty()) {
            let mut title = blank.clone();
            title[0] = format!("**{}**", section.title);
            lines.push(title);
            lines.extend(section.rows.iter().map(|row| self.cells(row)));
        }

        let width = |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max();
        let widths: Vec<usize> = (0..blank.len()).filter_map(width).collect();
        for (index, cells) in lines.iter().enumerate() {
            for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                match (index, column) {
                    (1, 0) => write!(f, "|-{:-<width$}-", "")?,
                    (1, _) => write!(f, "|-{:-<width$}:", "")?,
                    (_, 0) => write!(f, "| {cell:<width$} ")?,
                    _ => write!(f, "| {cell:>width$} ")?,
                }
            }
            writeln!(f, "|")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(goal: Goal, before: [f64; 3], today: [f64; 3]) -> Table {
        let mut table = Table::new(&[Kind::Callout, Kind::Before]);
        table.section("a section");
        let rounds = Rounds::from([(Kind::Callout, today.to_vec()), (Kind::Before, before.to_vec())]);
        table.row("a figure", 0, goal, &rounds, |value| *value);
        table
    }

    fn reports_a_loss(table: &Table) -> bool {
        table.comparison().expect("there is a callout of before").contains("a section: a figure: gain 0.5")
    }

    #[test]
    fn a_loss_in_every_round_is_reported_whichever_way_is_better() {
        assert!(reports_a_loss(&table(Goal::Less, [1.0, 1.0, 1.0], [2.0, 2.0, 1.9])));
        assert!(!reports_a_loss(&table(Goal::More, [1.0, 1.0, 1.0], [2.0, 2.0, 1.9])));
        assert!(reports_a_loss(&table(Goal::More, [2.0, 2.0, 1.9], [1.0, 1.0, 1.0])));
        assert!(!reports_a_loss(&table(Goal::Less, [2.0, 2.0, 1.9], [1.0, 1.0, 1.0])));
    }

    #[test]
    fn a_loss_that_one_round_contradicts_is_not_reported() {
        assert!(!reports_a_loss(&table(Goal::Less, [1.0, 1.0, 1.0], [2.0, 2.0, 0.9])));
    }

    #[test]
    fn what_is_wanted_stands_beside_what_was_seen() {
        let mut table = Table::new(&[Kind::Callout, Kind::Electric]);
        table.section("a section");
        let rounds = Rounds::from([(Kind::Callout, vec![3.0]), (Kind::Electric, vec![2.0])]);
        table.row("a ratio", 1, Goal::AtLeastTimes(1.2, Kind::Electric), &rounds, |value| *value);
        table.row("a bound", 1, Goal::AtMost(2.5), &rounds, |value| *value);
        table.row("a ratio to nobody", 1, Goal::AtMostTimes(0.5, Kind::Axum), &rounds, |value| *value);
        table.row("no goal", 1, Goal::Less, &rounds, |value| *value);
        let summary = table.summary();
        assert!(summary.contains("| a section: a ratio | ≥ 1.2 × electric | 3.0, 1.50 × electric | yes |"));
        assert!(summary.contains("| a section: a bound | ≤ 2.5 | 3.0 | NO |"));
        assert!(
            summary.contains("| a section: a ratio to nobody | ≤ 0.5 × axum | 3.0 | the peer is missing |")
        );
        assert!(!summary.contains("no goal"));
    }

    #[test]
    fn a_section_without_a_measured_server_is_left_out() {
        let mut table = Table::new(&[Kind::Axum]);
        table.section("callout alone");
        table.row("a figure", 0, Goal::Less, &Rounds::new(), |value| *value);
        assert!(!table.to_string().contains("callout alone"));
    }
}
