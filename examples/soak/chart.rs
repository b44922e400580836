//! How long recovery took, as a drawing: for each kind of failure, which share of those concerned
//! was served again after which time.

use core::fmt::Write as _;
use core::time::Duration;

use super::drawing::{COLORS, document};
use super::tally::Statement;

const LEFT: f64 = 70.0;
const TOP: f64 = 80.0;
const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 420.0;
/// From 1 ms to 1,000 s.
const DECADES: f64 = 6.0;
const POINTS: usize = 400;

pub(crate) fn svg(statement: &Statement) -> String {
    let mut out = String::new();
    for decade in 0..=DECADES as i32 {
        let (x, below) = (LEFT + f64::from(decade) / DECADES * WIDTH, TOP + HEIGHT);
        let label = if decade < 3 {
            format!("{} ms", 10_i32.pow(decade as u32))
        } else {
            format!("{} s", 10_i32.pow(decade as u32 - 3))
        };
        _ = writeln!(out, "<path d='M{x:.1} {TOP}V{below}' stroke='#ddd'/>");
        _ = writeln!(
            out,
            "<text x='{x:.1}' y='{:.0}' text-anchor='middle' fill='#666'>{label}</text>",
            below + 22.0
        );
    }
    for quarter in 0..=4 {
        let y = TOP + HEIGHT * (1.0 - f64::from(quarter) / 4.0);
        _ = writeln!(out, "<path d='M{LEFT} {y}h{WIDTH}' stroke='#ddd'/>");
        _ = writeln!(
            out,
            "<text x='{:.0}' y='{:.0}' text-anchor='end' fill='#666'>{} %</text>",
            LEFT - 10.0,
            y + 4.0,
            quarter * 25
        );
    }
    for (nth, (kind, times)) in statement.recoveries().enumerate() {
        let color = COLORS[nth % COLORS.len()];
        let points: String = (0..=POINTS)
            .map(|point| {
                let share = point as f64 / POINTS as f64;
                let time = times[((times.len() - 1) as f64 * share) as usize];
                format!("{:.1},{:.1} ", x(time), TOP + HEIGHT * (1.0 - share))
            })
            .collect();
        _ = writeln!(
            out,
            "<polyline points='{points}' fill='none' stroke='{color}' stroke-width='2'/>"
        );
        let y = TOP + 24.0 * nth as f64;
        let (bar, text) = (LEFT + WIDTH + 30.0, LEFT + WIDTH + 52.0);
        _ = writeln!(
            out,
            "<rect x='{bar}' y='{y}' width='14' height='14' fill='{color}'/>\
             <text x='{text}' y='{:.0}'>{} ({})</text>",
            y + 12.0,
            kind.name(),
            times.len()
        );
    }
    document(1180, 550, "Time to recover", &statement.title, &out)
}

/// Where a time stands.
fn x(time: Duration) -> f64 {
    let decades = (time.as_secs_f64().max(0.001) * 1_000.0).log10();
    LEFT + (decades / DECADES).min(1.0) * WIDTH
}
