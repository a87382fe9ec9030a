//! Peers that are compiled here, once, each in the version that the figures are to be of. All of it
//! is kept below `target/peers`: the sources, what the compilers remember, and the programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers");

/// How long one peer may take to be fetched and compiled, on a small machine.
const INSTALL_DEADLINE: Duration = Duration::from_secs(20 * 60);

const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The program of this name in `target/peers/bin`. Where it is missing, `installer` makes it, given the
/// folder `target/peers`; this takes minutes.
pub fn installed(name: &str, installer: impl Fn(&Path) -> Command) -> Result<PathBuf> {
    let folder = Path::new(FOLDER);
    let program = folder.join("bin").join(name);
    if program.is_file() {
        return Ok(program);
    }
    eprintln!("{name} is compiled, which takes some minutes");
    fs::create_dir_all(folder).with_context(|| format!("failed to make `{FOLDER}`"))?;
    let log = fs::File::create(folder.join(format!("{name}.log")))
        .with_context(|| format!("failed to write to `{FOLDER}`"))?;
    let mut command = installer(folder);
    command.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    run(&mut command)?;
    if !program.is_file() {
        bail!("failed to find `{}` after its installation", program.display());
    }
    Ok(program)
}

/// Blocks until the command has ended.
fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_owned();
    let mut child = command.spawn().with_context(|| format!("failed to run `{}`", name.display()))?;
    let deadline = Instant::now() + INSTALL_DEADLINE;
    loop {
        match child.try_wait().context("failed to wait for an installation")? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => bail!("`{}` ended with {status}; its log is in `{FOLDER}`", name.display()),
            None if Instant::now() > deadline => {
                // It may have ended by itself meanwhile.
                let _ = child.kill();
                let _ = child.wait();
                bail!("`{}` did not end in time; its log is in `{FOLDER}`", name.display());
            }
            None => thread::sleep(POLL_INTERVAL),
        }
    }
}
