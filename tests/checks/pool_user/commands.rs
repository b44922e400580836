//! What the application does.

use asap_pu::wire::PeIdentifier;
use asap_pu::{
    CommandError, ElementRef, Instant, LossReason, PoolUser, SendOptions, SessionOptions,
};
use bytes::Bytes;

use super::session::{Kind, Session};
use super::setup::registrar;
use super::step::{Element, Handle, Reach, Step};
use super::{World, nth};

impl World {
    /// Whether it is a command.
    pub(super) fn command(&mut self, now: Instant, step: &Step) -> bool {
        let at = self.happens();
        let Self { pu, application, driver, .. } = self;
        let pool = |pu: &PoolUser, handle: Handle| pu.find_pool(handle.0.as_bytes());
        match *step {
            Step::Start => pu.registrars_mut(now).find_home(),
            Step::Resolve(handle) => {
                if let Ok(request) = pu.resolve(now, handle.0) {
                    let known = application.requests.insert(request, self.latest);
                    assert!(known.is_none() && !application.ended_requests.contains(&request));
                }
            }
            Step::Cancel(n) => {
                let ended = application.ended_requests.last();
                let request = nth(application.requests.keys(), n).or(ended).copied();
                if let Some(request) = request {
                    let known = application.requests.remove(&request).is_some();
                    assert_eq!(pu.cancel(now, request).is_ok(), known);
                    application.ended_requests.push(request);
                }
            }
            Step::Populate(handle) => {
                let asked = match handle.0.len() % 2 {
                    0 => pu.populate(now, handle.0),
                    _ => pu.refresh(now, handle.0),
                };
                if let Ok(request) = asked {
                    assert!(application.requests.insert(request, self.latest).is_none());
                }
            }
            Step::Subscribe(handle) => {
                let anew = pu.subscription(handle.0.as_bytes()).is_none();
                if pu.subscribe(now, handle.0).is_ok() && anew {
                    application.subscribed(handle.0);
                }
            }
            Step::Unsubscribe(handle) => {
                if pu.unsubscribe(now, handle.0.as_bytes()) {
                    application.unsubscribed(handle.0.as_bytes());
                }
            }
            Step::Purge(handle) => {
                if let Some(pool) = pool(pu, handle) {
                    pu.pool_mut(now, pool).unwrap().purge();
                }
            }
            Step::PurgeAll => pu.purge_all(),
            Step::AddRegistrar(n) => drop(pu.registrars_mut(now).add(registrar(n % 7))),
            Step::RemoveRegistrar(n) => {
                pu.registrars_mut(now).remove(&registrar(n % 7).transport);
            }
            Step::OpenSession { handle, hold, choose, element } => {
                let mut options = SessionOptions::default();
                options.hold_after_failover = hold;
                options.choose_per_message = choose;
                options.element = element.map(Element::identifier);
                if let Ok(session) = pu.open_session(now, handle.0, options) {
                    let kind = if choose { Kind::Choosing } else { Kind::Keeping };
                    application.opened(session, kind, options);
                }
            }
            Step::OpenAt(element) => {
                let options = SessionOptions::default();
                if let Ok(session) = pu.open_session_at(now, element.transport(Reach::Tcp), options)
                {
                    application.opened(session, Kind::AtAddress, options);
                }
            }
            Step::Accept { control, protocol } => {
                let options = SessionOptions::default();
                if let Ok((session, channel)) = pu.accept(now, protocol, control, options) {
                    application.opened(session, Kind::Accepted, options);
                    driver.accept(self.latest, channel, session, protocol, control);
                }
            }
            Step::Select { handle, avoid } => {
                let avoid = avoid.identifier();
                let Some(id) = pool(pu, handle) else { return true };
                let chosen = pu
                    .pool_mut(now, id)
                    .unwrap()
                    .select(&[avoid])
                    .map(|chosen| chosen.identifier());
                let found = pu.pool(id).expect("it was there");
                let spoken = |it: &ElementRef<'_>| {
                    pu.capabilities().reaches_elements(it.transport().protocol())
                };
                let others = found.elements().filter(|it| it.identifier() != avoid && spoken(it));
                let left: Vec<_> = others.map(|it| it.identifier()).collect();
                let marked = |it: &PeIdentifier| found.is_marked(self.latest, *it);
                match chosen {
                    Ok(chosen) => {
                        assert!(left.contains(&chosen), "[SELECT-9]");
                        assert!(!marked(&chosen) || left.iter().all(marked), "[REPORT-5]");
                    }
                    Err(_) => assert!(left.is_empty(), "[REPORT-5] rather than none"),
                }
            }
            Step::SelectSeveral { handle, wanted } => {
                let wanted = usize::from(wanted % 8);
                let chosen = pool(pu, handle)
                    .map(|pool| pu.pool_mut(now, pool).unwrap().select_several(wanted, &[]));
                if let Some(chosen) = chosen {
                    let mut all: Vec<_> = chosen.iter().map(|it| it.identifier()).collect();
                    all.sort_unstable();
                    all.dedup();
                    assert!(all.len() == chosen.len() && all.len() <= wanted, "[SELECT-8]");
                }
            }
            Step::FailOver { handle, failed } => {
                let failed = failed.identifier();
                let Some(id) = pool(pu, handle) else { return true };
                driver.blame(failed);
                let marked = pu.pool(id).is_some_and(|pool| pool.is_marked(self.latest, failed));
                let before = pu.stats().failures;
                let next =
                    pu.pool_mut(now, id).unwrap().fail_over(failed).map(|next| next.identifier());
                assert_ne!(next, Ok(failed), "[SESSION-1]");
                assert!(pu.stats().failures - before <= u64::from(!marked), "[REPORT-2]");
            }
            Step::FailElement { handle, failed } => {
                let failed = failed.identifier();
                let Some(id) = pool(pu, handle) else { return true };
                if pu.pool_mut(now, id).unwrap().fail_element(failed).is_ok() {
                    driver.blame(failed);
                    driver.may_end(|it| it.element() == Some(failed), LossReason::GivenUp, at);
                    application.alive_mut().for_each(Session::given_up);
                    let found = pu.pool(id).expect("it was there");
                    let marks = !pu.config().cache.failure_mark.is_zero();
                    assert_eq!(found.is_marked(self.latest, failed), marks, "[SESSION-22]");
                    let mut left = application.alive().filter(|it| {
                        pu.session(it.id).and_then(|session| session.handle())
                            == Some(found.handle())
                            && pu.session(it.id).and_then(|session| session.element())
                                == Some(failed)
                    });
                    assert!(left.next().is_none(), "[SESSION-22] all of its sessions");
                }
            }
            Step::ReportAt { handle, failed } => {
                let at = failed.transport(Reach::Tcp);
                driver.blame(failed.identifier());
                let reported = pool(pu, handle)
                    .map(|pool| pu.pool_mut(now, pool).unwrap().report_unreachable_at(&at));
                if let Some(Ok(reported)) = reported {
                    assert_eq!(reported, failed.identifier(), "[REPORT-6]");
                }
            }
            Step::Trust { handle, element } => {
                if let Some(pool) = pool(pu, handle) {
                    pu.pool_mut(now, pool).unwrap().trust(element.identifier());
                }
            }
            Step::ShutDown => {
                pu.shut_down(now);
                application.shut_down(self.latest);
            }
            _ => return self.session_command(now, step),
        }
        true
    }

    fn session_command(&mut self, now: Instant, step: &Step) -> bool {
        let n = match *step {
            Step::Send { n, .. }
            | Step::Move { n, .. }
            | Step::SetCookie { n, .. }
            | Step::ForgetCookie(n)
            | Step::Confirm { n, .. }
            | Step::Withdraw { n, .. }
            | Step::GiveUp(n)
            | Step::Resume(n)
            | Step::Close(n)
            | Step::Abort(n) => n,
            Step::SetCard(ref list) => {
                let set = self.pu.set_card(list.elements());
                assert_eq!(set.is_ok(), self.pu.config().sessions.identity.is_some());
                return true;
            }
            _ => return false,
        };
        // One of the latest, which may have ended.
        let count = self.application.sessions.len();
        let Some(back) = usize::from(n).checked_rem(count.min(5)) else { return true };
        let at = count - 1 - back;
        let (cookie, made) = match *step {
            Step::SetCookie { len, .. } => (Some(self.make(len)), 0),
            Step::Send { .. } => (None, self.number()),
            _ => (None, 0),
        };
        let moment = self.happens();
        let Self { pu, application, driver, latest, .. } = self;
        let listed = application.listed.clone();
        let session = &mut application.sessions[at];
        let id = session.id;
        assert_eq!(pu.session_mut(now, id).is_ok(), !session.over, "[CORE-5]");
        if session.over {
            return true;
        }
        match *step {
            Step::Send { failover, to, receipt, len, .. } => {
                let mut options = SendOptions::from(failover);
                (options.to, options.receipt) = (to, receipt);
                options.unordered = len & 1 > 0;
                // Whose it is and which one, for whoever gets it.
                let mut data =
                    [&b"sent"[..], &(at as u16).to_be_bytes(), &made.to_be_bytes()].concat();
                data.resize(data.len() + usize::from(len / 3), 0);
                let data = Bytes::from(data);
                let sent = pu.session_mut(now, id).unwrap().send(data.clone(), options);
                let meant_for = pu.session(id).and_then(|session| session.element());
                session.sent(pu, moment, (data, options), meant_for, sent);
            }
            Step::Move { to, .. } => {
                let before = pu.stats().moves;
                let moved = pu.session_mut(now, id).unwrap().move_to(to.map(Element::identifier));
                assert!(moved.is_ok() || pu.stats().moves == before);
                if pu.stats().moves > before {
                    session.moved(*latest);
                    driver.may_end(|it| it.may_belong_to(id), LossReason::Moved, moment);
                }
            }
            Step::SetCookie { .. } | Step::ForgetCookie(_) => {
                let set = pu.session_mut(now, id).unwrap().set_cookie(cookie.clone()).is_ok();
                let latest = pu.session(id).and_then(|session| session.cookie());
                assert!(!set || latest == cookie.as_ref(), "[SESSION-8]");
                session.owes_unknown();
            }
            Step::Confirm { m, .. } => {
                let Some(message) = nth(session.messages.keys(), m).copied() else { return true };
                let news = pu.session_mut(now, id).unwrap().confirm(message);
                let sent = session.messages.get_mut(&message).expect("it was sent");
                if let Some(channel) = sent.confirmed(news, session.closing.is_some()) {
                    driver.written(channel, message);
                    session.progressed(*latest);
                }
            }
            Step::Withdraw { m, .. } => {
                let Some(message) = nth(session.messages.keys(), m).copied() else { return true };
                let withdrawn = pu.session_mut(now, id).unwrap().withdraw(message);
                let sent = session.messages.get_mut(&message).expect("it was sent");
                match withdrawn {
                    Ok(data) => sent.withdrawn(Some(&data)),
                    Err(error) => {
                        assert_eq!(error, CommandError::NotWaiting);
                        sent.withdrawn(None);
                    }
                }
            }
            Step::GiveUp(_) => {
                let given_up = pu.session_mut(now, id).unwrap().give_up().is_ok();
                if given_up {
                    session.given_up();
                    // Of one that the driver has not heard of, the address is not known.
                    let mut live = driver.live.values();
                    let called = live.any(|it| it.owner == Some(id) && it.surely_lives());
                    if !called || session.has_links() {
                        listed.into_iter().for_each(|it| driver.blame(it));
                    }
                    driver.may_end(|it| it.may_belong_to(id), LossReason::GivenUp, moment);
                }
            }
            Step::Resume(_) => {
                let resumed = pu.session_mut(now, id).unwrap().resume().is_ok();
                session.resumed |= resumed;
                session.held = session.held.filter(|_| !resumed);
            }
            Step::Close(_) => {
                let closed = pu.session_mut(now, id).unwrap().close();
                assert!(closed.is_err() || session.closing.is_none());
                if closed.is_ok() {
                    session.closing = Some(*latest);
                }
            }
            Step::Abort(_) => {
                let returned = pu.session_mut(now, id).unwrap().abort();
                session.aborted(&returned);
            }
            _ => {}
        }
        true
    }
}
