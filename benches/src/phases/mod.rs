//! The phases of the bench, one file each. A phase starts the servers it needs and adds its section
//! to the table.

mod acknowledge;
mod activity;
mod comeback;
mod flood;
mod groups;
mod idle;
mod joins;
mod lines;
mod million;
mod paced;
mod posts;
mod program;
mod publish;
mod restart;
mod rules;
mod stall;
mod turning;
mod unread;
mod writes;

use anyhow::Result;

use crate::bench::Bench;
use crate::table::Table;

#[derive(Clone, Copy)]
pub struct Phase {
    pub name: &'static str,
    pub run: fn(&Bench, &mut Table) -> Result<()>,
}

/// In the order of the table.
pub const PHASES: [Phase; 19] = [
    Phase { name: "paced", run: paced::run },
    Phase { name: "flood", run: flood::run },
    Phase { name: "joins", run: joins::run },
    Phase { name: "groups", run: groups::run },
    Phase { name: "rules", run: rules::run },
    Phase { name: "publish", run: publish::run },
    Phase { name: "idle", run: idle::run },
    Phase { name: "stall", run: stall::run },
    Phase { name: "turning", run: turning::run },
    Phase { name: "acknowledge", run: acknowledge::run },
    Phase { name: "lines", run: lines::run },
    Phase { name: "writes", run: writes::run },
    Phase { name: "restart", run: restart::run },
    Phase { name: "million", run: million::run },
    Phase { name: "comeback", run: comeback::run },
    Phase { name: "unread", run: unread::run },
    Phase { name: "activity", run: activity::run },
    Phase { name: "posts", run: posts::run },
    Phase { name: "program", run: program::run },
];
