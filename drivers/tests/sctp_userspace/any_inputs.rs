//! Any inputs to both sides: the fuzz target's checks, on bytes that chance has chosen. Those that
//! matter begin with an association.

use asap_pu::Rng;

#[path = "../checks/mod.rs"]
mod checks;

/// Sets up an association from the first side, and lets both deliver what is to be said.
const BEGIN: [u8; 10] = [0, 0, 0x1e, 0, 0x1f, 0, 0x1e, 0, 0x1f, 0];

#[test]
fn any_inputs_are_survived() {
    let seeds = std::env::var("SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    for seed in 0..seeds {
        let mut rng = Rng::new(seed);
        let len = 20 + rng.below(400);
        let mut data = BEGIN[..2 * rng.below(6) as usize].to_vec();
        data.extend((0..len).map(|_| rng.next_u64() as u8));
        if std::panic::catch_unwind(|| checks::live(&data)).is_err() {
            panic!("seed {seed}: {data:?}");
        }
    }
}
