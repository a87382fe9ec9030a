//! What a file is, by the ending of its name.

/// Endings of file names, and what such files are.
const CONTENT_TYPES: &[(&[&str], &str)] = &[
    (&["html", "htm"], "text/html; charset=utf-8"),
    (&["css"], "text/css; charset=utf-8"),
    (&["js", "mjs", "cjs"], "text/javascript; charset=utf-8"),
    (&["json", "map"], "application/json"),
    (&["webmanifest"], "application/manifest+json"),
    (&["wasm"], "application/wasm"),
    (&["txt", "md"], "text/plain; charset=utf-8"),
    (&["csv"], "text/csv; charset=utf-8"),
    (&["vtt"], "text/vtt; charset=utf-8"),
    (&["xml"], "application/xml"),
    (&["pdf"], "application/pdf"),
    (&["svg"], "image/svg+xml"),
    (&["ico"], "image/x-icon"),
    (&["png"], "image/png"),
    (&["apng"], "image/apng"),
    (&["jpg", "jpeg"], "image/jpeg"),
    (&["gif"], "image/gif"),
    (&["webp"], "image/webp"),
    (&["avif"], "image/avif"),
    (&["bmp"], "image/bmp"),
    (&["woff2"], "font/woff2"),
    (&["woff"], "font/woff"),
    (&["ttf"], "font/ttf"),
    (&["otf"], "font/otf"),
    (&["mp3"], "audio/mpeg"),
    (&["wav"], "audio/wav"),
    (&["ogg", "oga", "opus"], "audio/ogg"),
    (&["m4a"], "audio/mp4"),
    (&["mp4"], "video/mp4"),
    (&["webm"], "video/webm"),
];

/// Whether it is a web page.
pub(super) fn is_page(name: &str) -> bool {
    content_type(name).starts_with("text/html")
}

/// The media type that a file's ending says, in whatever case. What it does not say, a browser must not guess.
pub(super) fn content_type(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    let known = CONTENT_TYPES.iter().find(|(endings, _)| endings.contains(&&*ending));
    known.map_or("application/octet-stream", |(_, content_type)| content_type)
}
