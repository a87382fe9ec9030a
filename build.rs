//! Lists the files under `www/`, so that a new page is compiled in by being there, and chooses a library.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("www");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed=www");
    // What unwinds a panic is linked in rather than loaded beside the program: 0.1 MB less at rest.
    if env::var("TARGET").is_ok_and(|target| target.ends_with("linux-gnu")) {
        println!("cargo::rustc-link-lib=gcc_eh");
    }
    let mut entries = Vec::new();
    list(&root, "", &mut entries)?;
    entries.sort();
    fs::write(out.join("www.rs"), format!("&[{}]", entries.concat()))
}

fn list(folder: &Path, prefix: &str, entries: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{name}/"), entries)?;
        } else {
            entries.push(format!("({name:?}, include_bytes!({:?})),\n", entry.path()));
        }
    }
    Ok(())
}
