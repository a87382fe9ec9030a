//! What is done to a page before it is served: what leads to pages that are off goes, links are adapted to the path, and
//! what the page loads is found for the `Link` header.

use std::borrow::Cow;

/// How the tags begin whose files a page needs, up to the file's path, and what kind each is. Modules are
/// fetched as if from another site, hence `crossorigin`.
const PRELOADED: &[(&str, &str)] = &[
    ("link rel=\"stylesheet\" href=\"", "as=style"),
    ("link rel=\"modulepreload\" href=\"", "as=script; crossorigin"),
    ("script type=\"module\" src=\"", "as=script; crossorigin"),
];

/// The attributes of a page that hold a link.
const LINKS: [&str; 2] = [" href=\"", " src=\""];

/// The HTML without the elements that are there because of a page: those that say so (`data-page="wall"`). Such
/// an element holds no other of its own kind, so the next end tag of that kind is its end.
pub(super) fn without_page(mut html: String, page: &str) -> String {
    let mark = format!(" data-page=\"{page}\"");
    while let Some(marked) = html.find(&mark) {
        let begin = html[..marked].rfind('<').unwrap_or(marked);
        let kind = html[begin..marked].split_whitespace().next().unwrap_or_default();
        let end_tag = format!("{}>", kind.replacen('<', "</", 1));
        let end = html[marked..].find(&end_tag).map_or(html.len(), |end| marked + end + end_tag.len());
        let begin = html[..begin].trim_end().len();
        html.replace_range(begin..end, "");
    }
    html
}

/// The page with its relative links leading from so many folders further up.
pub(super) fn lifted(html: &[u8], levels: usize) -> Cow<'static, [u8]> {
    let mut html = String::from_utf8_lossy(html).into_owned();
    for attribute in LINKS {
        let mut parts = html.split(attribute);
        let mut lifted = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let link = part.split('"').next().unwrap_or_default();
            // Not an address of its own, not from the root, and not a place in the page.
            let is_relative = !link.contains(':') && !link.starts_with(['/', '#']);
            lifted += attribute;
            lifted += &"../".repeat(if is_relative { levels } else { 0 });
            lifted += part;
        }
        html = lifted;
    }
    html.into_bytes().into()
}

/// What a page needs, as a `Link` header: its head's style sheets and modules. A browser, or a proxy with
/// 103 Early Hints, fetches them before it has read the page.
pub(super) fn preloads(html: &[u8]) -> String {
    let html = String::from_utf8_lossy(html);
    let head = html.split("</head>").next().unwrap_or_default();
    let links = head.split('<').filter_map(|tag| {
        let (rest, kind) =
            PRELOADED.iter().find_map(|(begin, kind)| Some((tag.strip_prefix(begin)?, kind)))?;
        let (path, _) = rest.split_once('"')?;
        Some(format!("<{path}>; rel=preload; {kind}"))
    });
    links.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_from_further_down_leads_to_the_same_places() {
        let html = r##"<a href="."><a href="x.html"><img src="a/b.svg"><a href="#x"><a href="/x"><a href="http://x">"##;
        let wanted = r##"<a href="../."><a href="../x.html"><img src="../a/b.svg"><a href="#x"><a href="/x"><a href="http://x">"##;
        assert_eq!(*lifted(html.as_bytes(), 1), *wanted.as_bytes());
    }

    #[test]
    fn what_is_marked_goes_whole_and_nothing_else() {
        let html =
            "<ul>\n  <li data-page=\"wall\">\n    <a href=\"x\">wall</a>\n  </li>\n  <li>check</li>\n</ul>";
        assert_eq!(without_page(html.into(), "wall"), "<ul>\n  <li>check</li>\n</ul>");
        assert_eq!(without_page(html.into(), "posts"), html);
        assert_eq!(without_page("a <b data-page=\"wall\">without an end".into(), "wall"), "a");
    }
}
