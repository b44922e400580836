//! What is found, as JSON: one object for each answer, change or failure, each with an `event` that says which.
//!
//! ```json
//! {"event": "found", "handle": "EchoPool", "policy": "Round Robin", "policy_type": 1, "elements": [
//!   {"identifier": "0x00000001", "home": "0x00001234", "protocol": "SCTP", "control": true,
//!    "addresses": ["10.0.0.11:7"]}], "registrar": "SCTP 10.0.0.1:3863", "authenticated": false, …}
//! ```
//!
//! Loads and degradations are shares, from 0 to 1, and durations milliseconds. What an element does not have
//! under the pool's policy is not there.

use std::time::SystemTime;

use asap_pu::selection::PolicyKind;
use asap_pu::{ElementRef, Pool};
use humantime::format_rfc3339_seconds;
use serde_json::{Map, Value, json};

/// Something that happened to a pool; `more` is told besides.
pub(crate) fn event(name: &str, more: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let mut object = Map::new();
    object.insert("event".into(), name.into());
    object.insert("when".into(), format_rfc3339_seconds(SystemTime::now()).to_string().into());
    object.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    object.into()
}

/// The pool and who is in it.
pub(crate) fn pool(pool: &Pool) -> impl Iterator<Item = (&'static str, Value)> {
    let elements: Vec<_> = pool.elements().map(|it| element(it, pool.policy().into())).collect();
    let policy = pool.policy();
    let facts = [
        ("handle", pool.handle().to_string().into()),
        ("policy", policy.to_string().into()),
        ("policy_type", policy.get().into()),
        ("policy_followed", pool.follows_policy().into()),
        ("elements", elements.into()),
    ];
    facts.into_iter()
}

fn element(element: ElementRef<'_>, policy: PolicyKind) -> Value {
    let transport = element.transport().to_owned();
    let addresses: Vec<_> = transport.socket_addrs().map(|at| at.to_string()).collect();
    let mut object = json!({
        "identifier": element.identifier().to_string(),
        "home": element.home().to_string(),
        "protocol": transport.protocol().to_string(),
        "control": element.transport().transport_use().carries_control(),
        "addresses": addresses,
    });
    let member = element.member();
    let share = |load: u32| f64::from(load) / f64::from(u32::MAX);
    match policy {
        PolicyKind::WeightedRoundRobin | PolicyKind::WeightedRandom => {
            object["weight"] = member.value.into();
        }
        PolicyKind::Priority => object["priority"] = member.value.into(),
        PolicyKind::LeastUsed | PolicyKind::RandomizedLeastUsed => {
            object["load"] = share(member.value).into();
        }
        PolicyKind::LeastUsedDegradation | PolicyKind::PriorityLeastUsed => {
            object["load"] = share(member.value).into();
            object["degradation"] = share(member.degradation).into();
        }
        _ => {}
    }
    object
}
