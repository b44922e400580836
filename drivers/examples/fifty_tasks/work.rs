//! The application.

use std::sync::Arc;
use std::time::Duration;

use asap_pu::Config;
use asap_pu_tokio::{Client, Error, Lines};
use tokio::task::JoinSet;

/// A question may be at so many elements that fail: one more than will.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.sessions.max_handovers = 1_000;
    config.sessions.session_backoff_max = Duration::from_millis(100);
    config.cache.failure_mark = Duration::from_millis(100);
    config
}

/// Has so many tasks ask a pool so many questions each, and looks at every answer; how many there were. Ten
/// tasks share a session.
pub(crate) async fn work(
    client: &Client,
    pool: &str,
    tasks: u32,
    questions: u32,
) -> Result<u32, Error> {
    let (mut asking, mut shared) = (JoinSet::new(), None);
    for task in 0..tasks {
        if task % 10 == 0 {
            let session = client.session(pool).codec(Lines).patience(Duration::from_millis(200));
            shared = Some(Arc::new(session.open().await?));
        }
        let session = shared.clone().expect("the first task opens one");
        asking.spawn(async move {
            for n in 0..questions {
                let answer = session.request(format!("task {task}, question {n}\n")).await?;
                assert_eq!(answer, format!("task {task}, question {n}"));
            }
            Ok::<_, Error>(questions)
        });
    }
    drop(shared);
    let mut answered = 0;
    while let Some(of_task) = asking.join_next().await {
        answered += of_task.expect("a task does not panic")?;
    }
    Ok(answered)
}
