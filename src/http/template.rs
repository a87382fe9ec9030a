//! Puts a page's own part into the template that all pages share.
//!
//! The build script does this for the pages that are compiled in, [`super::files`] for those of a folder: with the
//! same function, so that a page looks the same from both. Hence this file uses nothing else of the crate.

/// The template's name under `www/`. It is not served itself.
pub const NAME: &str = "template.html";

/// Where the template takes what belongs to one page.
const HEAD: &str = "<!-- head -->";
const MAIN: &str = "<!-- main -->";

/// The whole page. `name` is that of the page's file (`wall.html`), `own` what the file holds:
///
/// ```html
/// <title>Wall · callout</title>
/// <link rel="stylesheet" href="wall.css">
/// <script type="module" src="wall.js"></script>
///
/// <main>
///   …
/// </main>
/// ```
///
/// What stands before `<main` goes into the head. The template's link to this page is marked as the current one.
/// None for a file that does not begin with `<title>`: that is a whole page already.
pub fn render(template: &str, name: &str, own: &str) -> Option<String> {
    if !own.starts_with("<title>") {
        return None;
    }
    let (head, main) = own.split_at(own.find("<main").unwrap_or(own.len()));
    let path = if name == "index.html" { "." } else { name };
    let link = format!("href=\"{path}\"");
    let page = template
        .replacen(&link, &format!("{link} aria-current=\"page\""), 1)
        .replacen(HEAD, head.trim_end(), 1)
        .replacen(MAIN, main.trim_end(), 1);
    Some(page)
}
