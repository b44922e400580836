//! What the pictures of the examples have in common: colours, a drawing as a file, and a page for a browser that
//! holds drawings or a simulation (`timeline`, for examples that have one), needs nothing else, and can be zoomed.
#![allow(dead_code, reason = "each example has its own picture")]

/// Colours that can be told apart, also by those who see fewer (Okabe, Ito, 2008).
pub(crate) const COLORS: [&str; 8] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f", "#000000"];

/// An SVG document with a title, a note at the end of its line, and a drawing below.
pub(crate) fn document(width: u32, height: u32, title: &str, note: &str, drawing: &str) -> String {
    let end = width - 24;
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' \
         font-family='Helvetica, Arial, sans-serif' font-size='13' fill='#222'>\n\
         <rect width='{width}' height='{height}' fill='#fff'/>\n\
         <text x='24' y='42' font-size='24' font-weight='bold'>{title}</text>\n\
         <text x='{end}' y='42' text-anchor='end' fill='#666'>{note}</text>\n\
         {drawing}</svg>\n"
    )
}

/// A page with what is given as its content, SVG documents for instance.
pub(crate) fn page(title: &str, content: &str) -> String {
    format!(
        "<!doctype html>\n<html lang='en'>\n<meta charset='utf-8'>\n<title>{title}</title>\n\
         <style>\n{}</style>\n<main>\n{content}</main>\n<script>\n{}</script>\n</html>\n",
        include_str!("page.css"),
        include_str!("zoom.js")
    )
}
