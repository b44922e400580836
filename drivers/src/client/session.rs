//! Sessions: one pool as one server.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use asap_pu::wire::{PeIdentifier, PoolHandle};
use asap_pu::{
    CommandError, Event, Failover, MessageId, Recipient, SendOptions, SessionId, SessionMut,
    SessionOptions,
};
use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;

use super::desk::{Desk, undelivered};
use super::state::Handle;
use super::{Client, Codec, Error};

/// How long an element may owe an answer if nothing else is said.
const PATIENCE: Duration = Duration::from_secs(5);

/// A session that is to be opened, see [`Client::session`].
#[must_use]
pub struct SessionBuilder<C = ()> {
    client: Client,
    handle: PoolHandle,
    options: SessionOptions,
    sending: SendOptions,
    patience: Option<Duration>,
    codec: C,
}

/// A session with a pool: as one connection to a server that survives the servers behind it.
///
/// All its methods take `&self`, so that several tasks can use it, behind an [`Arc`] for instance. It is a
/// [`Stream`] of what comes and a [`Sink`] for what goes, too. If it is dropped it closes behind what it
/// has sent; [`close`](Self::close) waits for that.
///
/// Over TCP what comes is a stream of bytes, cut anywhere. A new element begins anew: what its predecessor
/// had begun to say is never continued ([`event`](Self::event) tells where).
///
/// With a [codec](SessionBuilder::codec) it knows which answer belongs to which
/// [`request`](Self::request); [`recv`](Self::recv) then gives what nobody had asked for.
pub struct Session<C = ()> {
    handle: Arc<Handle>,
    id: SessionId,
    sending: SendOptions,
    /// A message of the sink that found no room yet.
    pending: Option<Bytes>,
    /// Whether the stream has told of the end.
    is_told: bool,
    codec: PhantomData<fn() -> C>,
}

/// What has come from an element.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Received {
    /// A message, or over TCP any part of the stream; with a codec, a whole answer.
    pub data: Bytes,
    /// The element that said it.
    pub element: Option<PeIdentifier>,
}

impl SessionBuilder {
    pub(super) fn new(client: Client, handle: PoolHandle) -> Self {
        Self {
            client,
            handle,
            options: SessionOptions::default(),
            sending: SendOptions::default(),
            patience: Some(PATIENCE),
            codec: (),
        }
    }

    /// Gives the session what it needs to know for [`Session::request`].
    pub fn codec<C: Codec>(self, codec: C) -> SessionBuilder<C> {
        let Self { client, handle, options, sending, patience, codec: () } = self;
        SessionBuilder { client, handle, options, sending, patience, codec }
    }

    /// Opens the session, and waits until it has its first element.
    ///
    /// # Errors
    /// The pool is not known, or none of its elements could be reached in time
    /// (`sessions.session_deadline`); or there are too many sessions.
    pub async fn open(self) -> Result<Session, Error> {
        self.begin(|()| None).await
    }
}

impl<C: Codec> SessionBuilder<C> {
    /// How long an element may owe an answer. Then it has failed, and what it owes goes to the next one.
    /// `None`: for ever. Default: 5 s.
    pub fn patience(self, patience: impl Into<Option<Duration>>) -> Self {
        Self { patience: patience.into(), ..self }
    }

    /// As without a codec.
    ///
    /// # Errors
    /// As without a codec; and a session that
    /// [chooses for each message](SessionOptions::choose_per_message) can make no requests
    /// ([`Error::ChoosesPerMessage`]): it could not tell which element owes an answer.
    pub async fn open(self) -> Result<Session<C>, Error> {
        if self.options.choose_per_message {
            return Err(Error::ChoosesPerMessage);
        }
        self.begin(|codec| Some(Box::new(codec))).await
    }
}

impl<C> SessionBuilder<C> {
    /// How the session behaves.
    pub fn options(self, options: SessionOptions) -> Self {
        Self { options, ..self }
    }

    /// How messages are sent, and what becomes of them when their element fails; a
    /// [`Failover`] alone will do. Of requests, the failover and the recipient are always the same.
    ///
    /// [`Failover::Undelivered`] is for transports that tell of each message whether it was delivered, as
    /// SCTP does. Over TCP nothing is ever known to be: messages pile up until
    /// [`send`](Session::send) waits for ever, and each failover sends them all again.
    pub fn sending(self, sending: impl Into<SendOptions>) -> Self {
        Self { sending: sending.into(), ..self }
    }

    async fn begin(
        self,
        codec: impl FnOnce(C) -> Option<Box<dyn Codec>>,
    ) -> Result<Session<C>, Error> {
        let Self { client, handle, options, sending, patience, codec: given } = self;
        let session = {
            let mut state = client.0.0.lock();
            let id = state.call(|user, now| user.open_session(now, handle, options))??;
            state.desks.insert(id, Desk::new(id, codec(given), patience));
            Session {
                handle: client.0.clone(),
                id,
                sending,
                pending: None,
                is_told: false,
                codec: PhantomData,
            }
        };
        // One that chooses for each message is with nobody before there is one.
        if !options.choose_per_message {
            poll_fn(|context| session.poll_desk(|desk| desk.poll_element(context))).await?;
        }
        Ok(session)
    }
}

impl<C> Session<C> {
    /// What the pool user calls it, for [`Client::with`].
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// The element that serves it at the moment.
    #[must_use]
    pub fn element(&self) -> Option<PeIdentifier> {
        self.handle.0.lock().desks.get(&self.id)?.element
    }

    /// Sends a message, once there is room for it in the session's queue; its name, by which
    /// [`confirm`](Self::confirm) knows it. If this is dropped before it is ready, nothing is sent.
    ///
    /// # Errors
    /// The session is over, or the message would never fit. What becomes of it later is told by
    /// [`recv`](Self::recv), if it is not delivered.
    pub async fn send(&self, message: impl Into<Bytes>) -> Result<MessageId, Error> {
        self.send_with(message, self.sending).await
    }

    /// The same for one that is sent in another way than the session's others.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_with(
        &self,
        message: impl Into<Bytes>,
        sending: impl Into<SendOptions>,
    ) -> Result<MessageId, Error> {
        let (mut data, sending) = (message.into(), sending.into());
        poll_fn(|context| self.poll_send(context, &mut data, sending, false)).await
    }

    /// What has come from an element; `None` when the session is closed. Nothing is lost if this is dropped.
    ///
    /// # Errors
    /// A message of this session was not delivered ([`Error::Undelivered`]), or something was dropped
    /// unread ([`Error::Dropped`]): after these it goes on. Anything else is its end.
    pub async fn recv(&self) -> Result<Option<Received>, Error> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// The next of all that happens to the session: what [`recv`](Self::recv) passes over, too, which is
    /// where elements come and go, and receipts. `None` when the session is closed. Several who read share
    /// what comes.
    ///
    /// # Errors
    /// Something was dropped unread ([`Error::Dropped`]), or the session has ended.
    pub async fn event(&self) -> Result<Option<Event>, Error> {
        poll_fn(|context| self.handle.0.lock().poll_read(context, self.id)).await
    }

    /// The application knows that a message of [`Failover::Unconfirmed`] has arrived: it goes to no other
    /// element. Says whether that is news.
    pub fn confirm(&self, message: MessageId) -> bool {
        self.command(|session| session.confirm(message)).unwrap_or(false)
    }

    /// The application knows that the element has failed: it is reported, and the session goes on at
    /// another one.
    ///
    /// # Errors
    /// There is none at the moment.
    pub fn give_up(&self) -> Result<(), Error> {
        Ok(self.command(|session| session.give_up())??)
    }

    /// Any other command for the session: a cookie, a move, to resume. The client is locked meanwhile:
    /// no method of it, its sessions or pools may be called within.
    ///
    /// # Errors
    /// The session is over, or the client.
    pub fn command<T>(&self, command: impl FnOnce(&mut SessionMut<'_>) -> T) -> Result<T, Error> {
        let id = self.id;
        let told =
            self.handle.0.lock().call(|user, now| {
                Ok::<_, CommandError>(command(&mut user.session_mut(now, id)?))
            })?;
        told.map_err(|_| Error::SessionClosed)
    }

    /// Closes the session behind what was sent, and waits for that, within `sessions.session_deadline`. If
    /// it is dropped meanwhile, the session closes all the same.
    ///
    /// # Errors
    /// The first of what nobody has read: a message was not delivered ([`Error::Undelivered`]), or something
    /// was dropped unread ([`Error::Dropped`]); or the session could not end in good order. Each is told once
    /// the session is over.
    pub async fn close(self) -> Result<(), Error> {
        match self.command(|session| session.close()) {
            // It is closing, or over.
            Ok(_) | Err(Error::SessionClosed) => {}
            Err(gone) => return Err(gone),
        }
        let mut told = Ok(());
        loop {
            match self.event().await {
                Ok(Some(event)) => {
                    told = told.and(undelivered(&event).map_or(Ok(()), |it| Err(it.into())));
                }
                Ok(None) => return told,
                Err(dropped @ Error::Dropped(_)) => told = told.and(Err(dropped)),
                Err(end) => return told.and(Err(end)),
            }
        }
    }

    fn poll_send(
        &self,
        context: &Context<'_>,
        data: &mut Bytes,
        sending: SendOptions,
        is_request: bool,
    ) -> Poll<Result<MessageId, Error>> {
        let sent = self.handle.0.lock().with_desk(self.id, |desk, drive| {
            desk.poll_send(context, data, sending, is_request, drive)
        });
        sent.unwrap_or_else(|over| Poll::Ready(Err(over)))
    }

    fn poll_recv(&self, context: &Context<'_>) -> Poll<Result<Option<Received>, Error>> {
        let mut state = self.handle.0.lock();
        loop {
            match state.poll_read(context, self.id) {
                Poll::Ready(Ok(Some(event))) => {
                    if let Some(undelivered) = undelivered(&event) {
                        return Poll::Ready(Err(Error::Undelivered(undelivered)));
                    }
                    if let Event::Received { data, element, .. } = event {
                        return Poll::Ready(Ok(Some(Received { data, element })));
                    }
                }
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(None)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_desk<T>(
        &self,
        poll: impl FnOnce(&mut Desk) -> Poll<Result<T, Error>>,
    ) -> Poll<Result<T, Error>> {
        match self.handle.0.lock().desks.get_mut(&self.id) {
            Some(desk) => poll(desk),
            None => Poll::Ready(Err(Error::Gone)),
        }
    }
}

impl<C: Codec> Session<C> {
    /// Sends a request, once there is room for it, and waits for its answer, from whichever element gives
    /// one. Of those that fail meanwhile, each may have dealt with it.
    ///
    /// If this is dropped, the request is taken back, or if an element has it already, goes to no other one.
    ///
    /// # Errors
    /// No element could be reached in time, or the request was at too many of them
    /// (`sessions.max_handovers`); what they said made no sense to the codec; or the session is over.
    pub async fn request(&self, request: impl Into<Bytes>) -> Result<Bytes, Error> {
        let mut data = request.into();
        let mut sending = self.sending;
        (sending.failover, sending.to) = (Failover::Unconfirmed, Recipient::One);
        let sent = poll_fn(|context| self.poll_send(context, &mut data, sending, true));
        let question = Question { session: self, message: sent.await? };
        poll_fn(|context| question.poll(context)).await
    }
}

/// A request that was sent.
struct Question<'a, C> {
    session: &'a Session<C>,
    message: MessageId,
}

impl<C> Question<'_, C> {
    fn poll(&self, context: &Context<'_>) -> Poll<Result<Bytes, Error>> {
        self.session.poll_desk(|desk| desk.poll_answer(context, self.message))
    }
}

impl<C> Drop for Question<'_, C> {
    fn drop(&mut self) {
        let mut state = self.session.handle.0.lock();
        let _ = state.with_desk(self.session.id, |desk, drive| {
            desk.forget_answer(self.message, drive);
        });
    }
}

impl<C> Drop for Session<C> {
    fn drop(&mut self) {
        let _ = self.handle.0.lock().with_desk(self.id, Desk::release);
    }
}

impl<C> Stream for Session<C> {
    type Item = Result<Received, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_told {
            return Poll::Ready(None);
        }
        let polled = self.poll_recv(context).map(Result::transpose);
        let goes_on =
            |item: &_| matches!(item, Ok(_) | Err(Error::Undelivered(_) | Error::Dropped(_)));
        if let Poll::Ready(item) = &polled {
            self.is_told = !item.as_ref().is_some_and(goes_on);
        }
        polled
    }
}

/// To flush is to have all in the session's queue; to close, to wait for the end of the session, which leaves
/// to the [`Stream`] what is still to be read, and is an error where that tells of a message that was not delivered.
impl<C> Sink<Bytes> for Session<C> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(mut data) = self.pending.take() else { return Poll::Ready(Ok(())) };
        let sent = self.poll_send(context, &mut data, self.sending, false);
        if sent.is_pending() {
            self.pending = Some(data);
        }
        sent.map_ok(drop)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Bytes) -> Result<(), Error> {
        self.pending = Some(message);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_ready(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.as_mut().poll_ready(context)?.is_pending() {
            return Poll::Pending;
        }
        let _ = self.command(|session| session.close());
        self.poll_desk(|desk| desk.poll_end(context))
    }
}

impl<C> fmt::Debug for Session<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id;
        // Within a command, whose caller may want to print it, the client is locked.
        let Some(mut state) = self.handle.0.try_lock() else { return write!(f, "{id:?}, in use") };
        let view = state.call(|user, _| user.session(id).map(|session| format!("{session:?}")));
        match view {
            Ok(Some(view)) => f.write_str(&view),
            _ => write!(f, "{id:?}, over"),
        }
    }
}

impl<C> fmt::Debug for SessionBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBuilder")
            .field("handle", &self.handle)
            .field("options", &self.options)
            .field("sending", &self.sending)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
