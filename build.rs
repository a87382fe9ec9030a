//! Lists the files under `www/`, so that a new page is compiled in by being there, and puts each page into the
//! template. Also says how the unwinder is linked.

#[path = "src/http/template.rs"]
mod template;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("www");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed=www");
    // The library that unwinds a panic is linked in and not loaded beside the program: 0.1 MB less at rest.
    if env::var("TARGET").is_ok_and(|target| target.ends_with("linux-gnu")) {
        println!("cargo::rustc-link-lib=gcc_eh");
    }
    let mut names = Vec::new();
    list(&root, "", &mut names)?;
    names.sort();
    let template = fs::read_to_string(root.join(template::NAME))?;
    let mut entries = String::new();
    for name in names.iter().filter(|name| *name != template::NAME) {
        let path = rendered(&root, &out, &template, name)?;
        entries += &format!("({name:?}, include_bytes!({path:?})),\n");
    }
    fs::write(out.join("www.rs"), format!("&[{entries}]"))
}

fn list(folder: &Path, prefix: &str, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{name}/"), names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
}

/// Where the file is as it is served: a page in the build's own folder, in its template, all else under `www/`.
fn rendered(root: &Path, out: &Path, template: &str, name: &str) -> io::Result<PathBuf> {
    let source = root.join(name);
    if !name.ends_with(".html") {
        return Ok(source);
    }
    let Some(page) = template::render(template, name, &fs::read_to_string(&source)?) else {
        return Ok(source);
    };
    let target = out.join("www").join(name);
    fs::create_dir_all(target.parent().expect("it is below `www`"))?;
    fs::write(&target, page)?;
    Ok(target)
}
