//! What is shown of a pool: its elements as a table, what changes in it, and the choice among them.

use std::fmt;

use asap_pu::selection::{PolicyKind, Selector};
use asap_pu::wire::{PeIdentifier, Protocol};
use asap_pu::{ElementRef, Pool, Rng};

const HEADER: [&str; COLUMNS] = ["IDENTIFIER", "HOME", "TRANSPORT", "VALUES", "ADDRESSES"];
const COLUMNS: usize = 5;

/// The elements of a pool as rows of a table.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct List {
    rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    identifier: PeIdentifier,
    cells: [String; COLUMNS],
}

impl List {
    pub(crate) fn of(pool: &Pool) -> Self {
        let policy = pool.policy().into();
        let row = |element| Row::of(element, policy);
        Self { rows: pool.elements().map(row).collect() }
    }

    /// What is not as it was in a former list, one element on a line: `+` it has come, `-` it has
    /// gone, `~` it is different.
    pub(crate) fn changes(&self, former: &Self) -> String {
        let widths = self.widths(former);
        let line = |mark: char, row: &Row| format!("{mark} {}\n", row.line(&widths));
        let gone = former.rows.iter().filter(|row| self.row(row.identifier).is_none());
        let gone = gone.map(|row| line('-', row));
        let here = self.rows.iter().filter_map(|row| match former.row(row.identifier) {
            None => Some(line('+', row)),
            Some(old) if old != row => Some(line('~', row)),
            Some(_) => None,
        });
        gone.chain(here).collect()
    }

    fn row(&self, identifier: PeIdentifier) -> Option<&Row> {
        self.rows.iter().find(|row| row.identifier == identifier)
    }

    /// The widths of the columns that this and another list have in common.
    fn widths(&self, other: &Self) -> [usize; COLUMNS] {
        let mut widths = HEADER.map(str::len);
        for row in self.rows.iter().chain(&other.rows) {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                *width = cell.len().max(*width);
            }
        }
        widths
    }
}

/// The table.
impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths(self);
        writeln!(f, "{}", line(&HEADER, &widths))?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{}", row.line(&widths)))
    }
}

impl Row {
    fn of(element: ElementRef<'_>, policy: PolicyKind) -> Self {
        let identifier = element.identifier();
        let transport = element.transport();
        let control = if transport.transport_use().carries_control() { " + control" } else { "" };
        let addresses: Vec<_> =
            transport.to_owned().socket_addrs().map(|at| at.to_string()).collect();
        let addresses = match transport.protocol() {
            Protocol::Opaque => transport.to_owned().to_string(),
            _ => addresses.join(" "),
        };
        let cells = [
            identifier.to_string(),
            element.home().to_string(),
            format!("{}{control}", transport.protocol()),
            values(element, policy),
            addresses,
        ];
        Self { identifier, cells }
    }

    fn line(&self, widths: &[usize; COLUMNS]) -> String {
        line(&self.cells.each_ref().map(String::as_str), widths)
    }
}

/// Chooses so many times, as a pool user with this seed would from a pool that it has just resolved
/// and whose elements it can all reach.
pub(crate) fn picks(pool: &Pool, count: usize, seed: u64) -> Vec<String> {
    let members: Vec<_> = pool.elements().map(|element| element.member()).collect();
    let (mut rng, mut selector) = (Rng::new(seed), Selector::new());
    selector.refresh(pool.policy().into(), &members);
    let picked = (0..count).filter_map(|_| selector.pick(&mut rng, |_| false));
    picked.map(|at| PeIdentifier::new(members[at].id).to_string()).collect()
}

/// What an element counts for under the pool's policy.
fn values(element: ElementRef<'_>, policy: PolicyKind) -> String {
    let member = element.member();
    let percent = |load: u32| format!("{:.1}%", f64::from(load) / f64::from(u32::MAX) * 100.0);
    match policy {
        PolicyKind::WeightedRoundRobin | PolicyKind::WeightedRandom => {
            format!("weight {}", member.value)
        }
        PolicyKind::Priority => format!("priority {}", member.value),
        PolicyKind::LeastUsed | PolicyKind::RandomizedLeastUsed => {
            format!("load {}", percent(member.value))
        }
        PolicyKind::LeastUsedDegradation | PolicyKind::PriorityLeastUsed => {
            format!("load {} + {}", percent(member.value), percent(member.degradation))
        }
        _ => "-".to_owned(),
    }
}

/// Cells in their columns.
fn line(cells: &[&str; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}
