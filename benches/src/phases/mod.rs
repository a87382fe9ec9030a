//! The phases of the bench. Each starts the servers it needs and adds its rows to the table.

mod activity;
mod build;
mod flood;
mod herd;
mod history;
mod memory;
mod posts;
mod publish;
mod steady;

use anyhow::Result;

use crate::bench::Bench;
use crate::table::Table;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Steady,
    Flood,
    Publish,
    Herd,
    Memory,
    History,
    Activity,
    Posts,
    Build,
}

impl Phase {
    pub const ALL: [Phase; 9] = [
        Phase::Steady,
        Phase::Flood,
        Phase::Publish,
        Phase::Herd,
        Phase::Memory,
        Phase::History,
        Phase::Activity,
        Phase::Posts,
        Phase::Build,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Phase::Steady => "steady",
            Phase::Flood => "flood",
            Phase::Publish => "publish",
            Phase::Herd => "herd",
            Phase::Memory => "memory",
            Phase::History => "history",
            Phase::Activity => "activity",
            Phase::Posts => "posts",
            Phase::Build => "build",
        }
    }

    pub fn run(self, bench: &Bench, table: &mut Table) -> Result<()> {
        match self {
            Phase::Steady => steady::run(bench, table),
            Phase::Flood => flood::run(bench, table),
            Phase::Publish => publish::run(bench, table),
            Phase::Herd => herd::run(bench, table),
            Phase::Memory => memory::run(bench, table),
            Phase::History => history::run(bench, table),
            Phase::Activity => activity::run(bench, table),
            Phase::Posts => posts::run(bench, table),
            Phase::Build => build::run(bench, table),
        }
    }
}
