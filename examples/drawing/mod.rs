//! What the drawings of the examples have in common.

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
