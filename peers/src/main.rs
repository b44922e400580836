//! Measures the selection policies of `asap-pu` beside what a user could take instead, on the same
//! weights and in the same run, and prints one table: ours, each peer, the ratio.
//!
//! ```text
//! cargo run --release                 # everything
//! cargo run --release -- pick wrr     # the lines that contain all these words
//! ```
//!
//! What is measured is the time that the processor spent on this thread. Samples of all contenders of
//! a line take turns, and the figure is their lower tenth: what else runs on the machine can make a
//! sample slower and never faster. A ratio below 1 means that ours is faster.
//!
//! What to expect, and why:
//!
//! - A choice through a `Selector` takes some nanoseconds for which policy it is and whether the list is
//!   new. That is what scans of 4 and 8 members are ahead by.
//! - Weighted round robin beside deadlines alone (`scan`, `four-ary`, `edf`) takes 0.9 times as long at 16
//!   members and up to 1.6 times at 64 to 1,024. Those stray by up to half the largest weight (`order`); what
//!   gives the same guarantee in one list, `two-heaps`, takes twice as long as ours. `interleaved` and `slots`
//!   have a turn ready for each unit of weight: weights of 32 bits forbid that.
//! - What meets a changed list with the same guarantees is `carried`: a scan over lags or keys that goes on
//!   where it was. From ten choices a list and 16 members on ours takes 0.1 to 1.3 times as long as that; at 4
//!   and 8 members 1.0 to 1.8 times. For a single choice it is 1.4 to 3.3 times, and 4 for weighted round robin
//!   at 4 members (64 ns beside 16): there the scan builds nothing, and ours whatever makes the further choices
//!   cheap, for lists of any order, exclusions, choices taken back and weights of 32 bits.
//! - The other lines of `refresh_then_k` build anew and remember nothing: with one choice a list they serve the
//!   same member for ever. Long lists of weighted round robin are served by lag at first; with a hundred choices
//!   from each list of a thousand that costs more than their deadlines (`refresh_then_k/wrr/1024/100`).

mod contenders;
mod order;

use std::hint::black_box;
use std::time::Duration;

use contenders::{Contender, Weights};
use cpu_time::ThreadTime;

const SIZES: [usize; 7] = [4, 8, 16, 64, 256, 1024, 10_000];
const KS: [usize; 4] = [1, 10, 100, 1000];
const SAMPLES: usize = 30;
/// Long beside what it takes to read the clock.
const SAMPLE: Duration = Duration::from_millis(1);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| words.iter().all(|word| name.contains(word.as_str()));

    println!("ns; (ratio ours / peer)\n");
    for n in SIZES {
        for (policy, contenders) in contenders::bare(&Weights::new(n)) {
            line(&format!("pick/{policy}/{n}"), contenders, 1, wanted);
        }
    }
    for n in SIZES {
        for (policy, contenders) in contenders::same(&Weights::new(n)) {
            line(&format!("same/{policy}/{n}"), contenders, 1, wanted);
        }
        for (policy, contenders) in contenders::marked(&Weights::new(n)) {
            line(&format!("marked/{policy}/{n}"), contenders, 1, wanted);
        }
    }
    for n in SIZES {
        for k in KS {
            for (policy, contenders) in contenders::refreshed(&Weights::new(n), k) {
                line(&format!("refresh_then_k/{policy}/{n}/{k}"), contenders, 1, wanted);
            }
        }
    }
    if wanted("order") {
        order::print();
    }
}

/// Measures the contenders of one line and prints it.
fn line(name: &str, mut contenders: Vec<Contender>, per: usize, wanted: impl Fn(&str) -> bool) {
    if !wanted(name) {
        return;
    }
    let rounds: Vec<usize> = contenders.iter_mut().map(calibrate).collect();
    let mut samples = vec![Vec::with_capacity(SAMPLES); contenders.len()];
    for _ in 0..SAMPLES {
        for (at, contender) in contenders.iter_mut().enumerate() {
            let nanos = time(contender, rounds[at]).as_nanos() as f64;
            samples[at].push(nanos / (rounds[at] * per) as f64);
        }
    }
    let figures: Vec<f64> = samples
        .iter_mut()
        .map(|samples| {
            samples.sort_by(f64::total_cmp);
            samples[SAMPLES / 10]
        })
        .collect();
    print!("{name:<34}");
    for (contender, figure) in contenders.iter().zip(&figures) {
        if contender.name == "ours" {
            print!(" ours {figure:.1}");
        } else {
            print!(" | {} {figure:.1} ({:.2})", contender.name, figures[0] / figure);
        }
    }
    println!();
}

/// How many runs make a sample.
fn calibrate(contender: &mut Contender) -> usize {
    let mut rounds = 1;
    while time(contender, rounds) < SAMPLE {
        rounds *= 2;
    }
    rounds
}

fn time(contender: &mut Contender, rounds: usize) -> Duration {
    let start = ThreadTime::now();
    black_box((contender.run)(rounds));
    start.elapsed()
}
