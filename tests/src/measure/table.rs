//! The table of figures: printed, and written as JSON.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

/// One row.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// Its unit.
    pub unit: String,
    /// The figure.
    pub value: f64,
    /// The reference's figure, measured in the same run.
    pub reference: Option<f64>,
    /// The figure that may not be passed, in the same unit.
    pub goal: f64,
    /// What the goal is, in words.
    pub goal_words: String,
    /// The single runs that the figure is the middle of.
    pub runs: Vec<f64>,
    /// Whether the goal is met.
    pub met: bool,
}

impl Row {
    /// A figure against a fixed goal.
    #[must_use]
    pub fn fixed(what: &str, unit: &str, value: f64, goal: f64, goal_words: &str, runs: Vec<f64>) -> Self {
        let (what, unit, goal_words) = (what.to_owned(), unit.to_owned(), goal_words.to_owned());
        Self { what, unit, value, reference: None, goal, goal_words, runs, met: value <= goal }
    }

    /// A figure against its reference times a factor.
    #[must_use]
    pub fn times(what: &str, unit: &str, value: f64, reference: f64, factor: f64, runs: Vec<f64>) -> Self {
        let goal = reference * factor;
        let goal_words = format!("at most {factor} times the reference");
        Self { reference: Some(reference), ..Self::fixed(what, unit, value, goal, &goal_words, runs) }
    }

    /// A figure against its reference and so much more.
    #[must_use]
    pub fn plus(what: &str, unit: &str, value: f64, reference: f64, more: f64, runs: Vec<f64>) -> Self {
        let goal_words = format!("at most {more} {unit} above the reference");
        Self { reference: Some(reference), ..Self::fixed(what, unit, value, reference + more, &goal_words, runs) }
    }

    /// The row as one line of a table.
    #[must_use]
    pub fn line(&self) -> String {
        let reference = self.reference.map_or_else(|| "-".to_owned(), |r| format!("{r:.1}"));
        let met = if self.met { "yes" } else { "NO" };
        format!("| {} | {:.1} {} | {reference} | {} | {met} |", self.what, self.value, self.unit, self.goal_words)
    }
}

/// The table's head.
pub const HEAD: &str = "| what | measured | reference | goal | met |\n| --- | --- | --- | --- | --- |";

/// Writes the rows as JSON; rows that are in the file already under other names stay.
///
/// # Errors
///
/// The file cannot be written.
pub fn write(path: &Path, rows: &[Row]) -> Result<()> {
    let kept: Vec<serde_json::Value> =
        std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let mut all: Vec<serde_json::Value> =
        kept.into_iter().filter(|old| !rows.iter().any(|new| old["what"] == new.what)).collect();
    for row in rows {
        all.push(serde_json::to_value(row)?);
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, serde_json::to_string_pretty(&all)?)?;
    Ok(())
}
