//! Peers that are compiled here, once, each in the version that the figures are to be of. Their
//! programs are kept in `target/peers`; what was needed to make them is removed again.

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

/// The program of this name in `target/peers/bin`. Where it is missing, the command makes it, which
/// takes minutes: it is given the folder `target/peers`, and one for what is not to be kept.
pub fn installed(name: &str, installer: impl Fn(&Path, &Path) -> Command) -> Result<PathBuf> {
    let folder = Path::new(FOLDER);
    let program = folder.join("bin").join(name);
    if program.is_file() {
        return Ok(program);
    }
    eprintln!("{name} is compiled, which takes some minutes");
    fs::create_dir_all(folder).with_context(|| format!("failed to make `{FOLDER}`"))?;
    let log = fs::File::create(folder.join(format!("{name}.log")))
        .with_context(|| format!("failed to write to `{FOLDER}`"))?;
    let scratch = folder.join("scratch");
    let mut command = installer(folder, &scratch);
    command.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let outcome = run(&mut command);
    // What is left over takes room and harms nothing else.
    let _ = fs::remove_dir_all(&scratch);
    outcome?;
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
