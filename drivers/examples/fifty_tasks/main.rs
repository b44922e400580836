//! Fifty tasks on one client, each with a hundred questions, while the elements that answer them are killed
//! and hang, one after the other. Nothing is lost: what an element has not answered goes to another one.
//!
//! `cargo run --example fifty_tasks` plays it on sockets of this host. [`work`] is the application; the
//! tests run it unchanged in the simulator, too.

mod peers;
mod work;

use std::error::Error;
use std::time::Duration;

use asap_pu_tokio::Client;

use peers::{Element, Health};
use work::work;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut elements = Vec::new();
    for _ in 0..4 {
        elements.push(Element::new().await?);
    }
    let registrar = peers::registrar(&elements).await?;
    let client = Client::builder().registrar(registrar).config(work::config()).connect().await?;

    let trouble = async {
        for (n, health) in [Health::Dead, Health::Hung].into_iter().cycle().enumerate() {
            let element = &elements[n % elements.len()];
            element.set(health);
            println!("{} is {health:?}", element.at);
            tokio::time::sleep(Duration::from_millis(150)).await;
            element.set(Health::Well);
        }
    };
    let answered = tokio::select! {
        answered = work(&client, "EchoPool", 50, 100) => answered?,
        () = trouble => unreachable!("there is no end of it"),
    };
    let (failovers, resent) =
        client.with(|user, _| (user.stats().failovers, user.stats().messages_resent))?;
    println!("{answered} questions answered, after {failovers} failovers; {resent} sent again");
    client.shut_down().await;
    Ok(())
}
