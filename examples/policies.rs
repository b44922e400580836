//! Shows what each pool policy does with a small pool: whom it chooses one after the other, and the
//! shares in the end.
//!
//! ```text
//! cargo run --example policies
//! cargo run --example policies -- --html policies.html   # as a page, for a browser
//! ```

mod drawing;

use core::fmt::Write as _;

use asap_pu::Rng;
use asap_pu::selection::{Member, PolicyKind, Selector};
use drawing::{COLORS, document, page};

const NAMES: [&str; 5] = ["A", "B", "C", "D", "E"];
const WEIGHTS: [u32; 5] = [4, 3, 2, 1, 0];
const PRIORITIES: [u32; 5] = [1, 3, 3, 2, 0];
/// In percent, as are the degradations.
const LOADS: [u32; 5] = [10, 40, 40, 70, 100];
const DEGRADATIONS: [u32; 5] = [60, 10, 10, 20, 60];

/// So many choices are shown one by one, and so many make the shares.
const SHOWN: usize = 24;
const COUNTED: usize = 1000;

/// A policy, and what the numbers of the members mean to it.
struct Example {
    policy: PolicyKind,
    name: &'static str,
    section: &'static str,
    value: Value,
}

enum Value {
    None,
    Weight,
    Priority,
    Load,
    LoadAndDegradation,
}

/// What came of it.
struct Outcome {
    first: Vec<usize>,
    /// Of each member, from 0 to 1.
    shares: Vec<f64>,
}

fn main() -> std::io::Result<()> {
    let outcomes: Vec<_> = examples().into_iter().map(|example| (run(&example), example)).collect();
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [] => print!("{}", text(&outcomes)),
        [option, file] if option == "--html" => {
            std::fs::write(file, page("Whom a pool user chooses", &svg(&outcomes)))?;
        }
        _ => eprintln!("usage: policies [--html FILE]"),
    }
    Ok(())
}

fn examples() -> Vec<Example> {
    let example = |policy, name, section, value| Example { policy, name, section, value };
    vec![
        example(PolicyKind::RoundRobin, "Round Robin", "4.1", Value::None),
        example(PolicyKind::WeightedRoundRobin, "Weighted Round Robin", "4.2", Value::Weight),
        example(PolicyKind::Random, "Random", "4.3", Value::None),
        example(PolicyKind::WeightedRandom, "Weighted Random", "4.4", Value::Weight),
        example(PolicyKind::Priority, "Priority", "4.5", Value::Priority),
        example(PolicyKind::LeastUsed, "Least Used", "5.1", Value::Load),
        example(
            PolicyKind::LeastUsedDegradation,
            "Least Used with Degradation",
            "5.2",
            Value::LoadAndDegradation,
        ),
        example(
            PolicyKind::PriorityLeastUsed,
            "Priority Least Used",
            "5.3",
            Value::LoadAndDegradation,
        ),
        example(PolicyKind::RandomizedLeastUsed, "Randomized Least Used", "5.4", Value::Load),
    ]
}

fn run(example: &Example) -> Outcome {
    let members: Vec<Member> = (0..NAMES.len()).map(|at| example.value.member(at)).collect();
    let mut selector = Selector::new();
    selector.refresh(example.policy, &members);

    let mut rng = Rng::new(2008);
    let picked: Vec<usize> =
        (0..COUNTED).filter_map(|_| selector.pick(&mut rng, |_| false)).collect();
    let share = |at| picked.iter().filter(|&&picked| picked == at).count() as f64 / COUNTED as f64;
    Outcome { first: picked[..SHOWN].to_vec(), shares: (0..NAMES.len()).map(share).collect() }
}

impl Value {
    fn member(&self, at: usize) -> Member {
        let percent = |percent: u32| (u64::from(percent) * u64::from(u32::MAX) / 100) as u32;
        let id = at as u32;
        match self {
            Self::None => Member::new(id, 0),
            Self::Weight => Member::new(id, WEIGHTS[at]),
            Self::Priority => Member::new(id, PRIORITIES[at]),
            Self::Load | Self::LoadAndDegradation => {
                Member::new(id, percent(LOADS[at])).with_degradation(percent(DEGRADATIONS[at]))
            }
        }
    }

    const fn title(&self) -> &'static str {
        match self {
            Self::None => "no values",
            Self::Weight => "weight",
            Self::Priority => "priority",
            Self::Load => "load",
            Self::LoadAndDegradation => "load + degradation",
        }
    }

    fn label(&self, at: usize) -> String {
        match self {
            Self::None => String::new(),
            Self::Weight => WEIGHTS[at].to_string(),
            Self::Priority => PRIORITIES[at].to_string(),
            Self::Load => format!("{} %", LOADS[at]),
            Self::LoadAndDegradation => format!("{} + {} %", LOADS[at], DEGRADATIONS[at]),
        }
    }
}

fn text(outcomes: &[(Outcome, Example)]) -> String {
    const WIDTH: f64 = 40.0;
    let mut out = String::new();
    for (outcome, example) in outcomes {
        let sequence: Vec<_> = outcome.first.iter().map(|&at| NAMES[at]).collect();
        let Example { name, section, value, .. } = example;
        _ = writeln!(out, "{name} (RFC 5356 §{section}, {})", value.title());
        _ = writeln!(out, "  {} …", sequence.join(" "));
        for (at, share) in outcome.shares.iter().enumerate() {
            let bar = "█".repeat((share * WIDTH).round() as usize);
            let percent = share * 100.0;
            _ = writeln!(out, "  {} {:>9} {percent:>5.1} % {bar}", NAMES[at], value.label(at));
        }
        _ = writeln!(out);
    }
    out
}

/// Nine panels, three in a row.
fn svg(outcomes: &[(Outcome, Example)]) -> String {
    const PANEL: (usize, usize) = (400, 236);
    const CELL: usize = 15;
    const BAR: f64 = 190.0;
    let mut out = String::new();
    for (panel, (outcome, example)) in outcomes.iter().enumerate() {
        let (x, y) = (24 + panel % 3 * PANEL.0, 72 + panel / 3 * PANEL.1);
        let Example { name, section, value, .. } = example;
        _ = writeln!(out, "<g transform='translate({x} {y})'>");
        _ = writeln!(out, "<text y='14' font-size='16' font-weight='bold'>{name}</text>");
        let note = format!("§{section}, {}", value.title());
        _ = writeln!(out, "<text y='33' fill='#666'>{note}</text>");
        for (turn, &at) in outcome.first.iter().enumerate() {
            let (x, color) = (turn * CELL, COLORS[at]);
            let middle = x + CELL / 2;
            _ = writeln!(
                out,
                "<rect x='{x}' y='44' width='14' height='22' fill='{color}'/>\
                 <text x='{middle}' y='59' text-anchor='middle' font-size='11' fill='#fff' \
                 font-weight='bold'>{}</text>",
                NAMES[at]
            );
        }
        for (at, share) in outcome.shares.iter().enumerate() {
            let (y, length) = (80 + at * 24, share * BAR);
            let (text, end, color) = (y + 14, length + 126.0, COLORS[at]);
            let (name, label, percent) = (NAMES[at], value.label(at), share * 100.0);
            _ = writeln!(
                out,
                "<text y='{text}' font-weight='bold'>{name}</text>\
                 <text x='108' y='{text}' text-anchor='end' fill='#666'>{label}</text>\
                 <rect x='118' y='{y}' width='{length:.1}' height='18' fill='{color}'/>\
                 <text x='{end:.1}' y='{text}'>{percent:.1} %</text>"
            );
        }
        _ = writeln!(out, "</g>");
    }
    let note = "the pool policies of RFC 5356, 24 choices one by one and the shares of 1000";
    document(1220, 790, "Whom a pool user chooses", note, &out)
}
