//! Performs what [`crate::isolate::refresh`] decides: one loop and one match.

use std::{rc::Rc, sync::Arc};

use super::{
    cache_api, isolate, metrics_sender,
    object_stub::{self, Answered, Lost},
    origin::{self, Question},
    platform::bindings::{self, Task},
    router::Visit,
};
use crate::{
    core::{
        canonical_json,
        config::Route,
        entry::{self, Entry, Floor},
        failure::{Failure, Reason},
        key::Key,
        time::{Instant, Span},
    },
    isolate::{
        key_memo,
        metrics::{Call, MetricEvent},
        refresh::{Action, Computed, Event, Purpose, Refresh, RefreshOutcome, Subject},
    },
    protocol::message::{Answer, Message, Reply},
    worker::platform::clock,
};

/// What was asked: what the origin is sent, and the key of it.
pub(super) struct Asked {
    pub(super) key: Key,
    /// The canonical body.
    pub(super) body: String,
    /// The route's keyed headers.
    pub(super) headers: Vec<(String, Option<String>)>,
}

/// What a message to the object has led to: its answer, with the entry that it brings.
pub(super) type Told = Result<(Reply, Option<Arc<Entry>>), Lost>;

/// One request's question, and the means to act for it.
pub(super) struct Job {
    pub(super) visit: Rc<Visit>,
    pub(super) route: Rc<Route>,
    pub(super) asked: Rc<Asked>,
    /// As it arrived, where that is remembered.
    pub(super) question: Option<key_memo::Question>,
}

impl Job {
    pub(super) fn host(&self) -> &str {
        self.visit.target().host()
    }

    pub(super) fn look_up_memory(&self) -> Option<Arc<Entry>> {
        isolate::with(|isolate| {
            isolate.local.memory.get(&self.asked.key.hash, &self.asked.key.text, clock::now())
        })
    }

    /// What the colo holds, less what was purged.
    pub(super) async fn look_up_colo(&self) -> Option<Arc<Entry>> {
        let record = cache_api::look_up(self.host(), &self.asked.key).await;
        isolate::with(|isolate| {
            isolate.local.adopt_from_colo(self.asked.key.hash, record.floor, record.entry, clock::now())
        })
    }

    /// What memory and the colo's cache hold together, and what is in hand already. An entry too large
    /// for memory is served from the colo.
    pub(super) fn newest(
        &self,
        in_colo: Option<Arc<Entry>>,
        in_hand: Option<Arc<Entry>>,
        arrived: Instant,
    ) -> Option<Arc<Entry>> {
        isolate::with(|isolate| isolate.local.after_colo(&self.asked.key, in_colo, in_hand, arrived))
    }

    /// The purge floor that this isolate has heard.
    pub(super) fn floor(&self) -> Floor {
        isolate::with(|isolate| isolate.local.memory.floor(&self.asked.key.hash))
    }

    fn hear(&self, floor: Floor) -> bool {
        isolate::with(|isolate| isolate.local.hear(self.asked.key.hash, floor, clock::now()))
    }

    /// The origin may be asked once more, over all keys of this isolate.
    pub(super) fn has_room(&self) -> bool {
        isolate::with(|isolate| isolate.local.has_room(&self.route))
    }

    pub(super) fn subject(&self, seen: u64, delta: Option<Span>) -> Subject {
        Subject { key: Arc::clone(&self.asked.key.text), lifetime: self.route.lifetime, seen, delta }
    }

    /// Begins a refresh behind the answer; `owner` is its mark.
    pub(super) fn refresh_behind(self: &Rc<Self>, entry: &Entry, purpose: Purpose, owner: u64) {
        let refresh = Refresh::new(self.subject(entry.generation, Some(entry.delta)), purpose);
        let job = Rc::clone(self);
        bindings::behind(&*self.visit.context, async move {
            job.run(refresh, owner).await;
        });
    }

    /// Runs a computation to its end, counts and logs it, and leaves the marks in order.
    pub(super) async fn run(self: &Rc<Self>, mut refresh: Refresh, owner: u64) -> (RefreshOutcome, Floor) {
        let mut event = Event::Started;
        let ending = loop {
            let action = refresh.on(event, clock::now());
            if let Some(trigger) = refresh.take_trigger() {
                isolate::count(MetricEvent::Triggered { purpose: refresh.purpose(), trigger });
            }
            event = match action {
                Action::LookInColo => Event::LookedInColo(self.look_up_colo().await),
                Action::Acquire { seen } => self.acquire(seen, &refresh).await,
                Action::Wait { seen } => self.wait_behind(seen).await,
                Action::Compute => match self.compute(refresh.purpose()).await {
                    Ok(computed) => Event::Computed(computed),
                    Err(failure) => Event::Failed(failure),
                },
                Action::Commit(entry) => self.commit(&entry).await,
                Action::Fail(token, failure) => self.fail(token, failure).await,
                Action::Store(entry) => {
                    self.store(&entry).await;
                    Event::Stored
                }
                Action::End(ending) => break ending,
            };
        };
        self.ended(&refresh, &ending, owner);
        (ending, refresh.floor())
    }

    fn ended(self: &Rc<Self>, refresh: &Refresh, ending: &RefreshOutcome, owner: u64) {
        isolate::with(|isolate| {
            isolate.local.ended(self.asked.key.hash, owner, refresh, ending, clock::now());
        });
        if let RefreshOutcome::Rejected(_) = ending {
            isolate::count(MetricEvent::CommitRejected);
        }
        self.log(refresh, ending);
        metrics_sender::arm(&self.visit, clock::now());
    }

    /// One line per computation. The key shows as a hash: its text may be personal.
    fn log(&self, refresh: &Refresh, ending: &RefreshOutcome) {
        let delta = match ending {
            RefreshOutcome::Stored(entry)
            | RefreshOutcome::Uncommitted(entry)
            | RefreshOutcome::Rejected(entry) => Some(entry.delta),
            RefreshOutcome::Passed(computed) => Some(computed.delta),
            RefreshOutcome::Adopted(_)
            | RefreshOutcome::AdoptedFromColo(_)
            | RefreshOutcome::Held { .. }
            | RefreshOutcome::BackedOff { .. }
            | RefreshOutcome::Failed(_)
            | RefreshOutcome::ObjectLost => None,
        };
        let line = canonical_json::object([
            ("event", "refresh".into()),
            ("route", self.route.path.as_str().into()),
            ("key", self.asked.key.name()[..16].into()),
            ("purpose", refresh.purpose().as_str().into()),
            ("ending", ending.as_str().into()),
            ("token", refresh.token().into()),
            ("delta_ms", delta.map(|delta| delta.0).into()),
            ("reason", ending.reason().map(Reason::as_str).into()),
        ]);
        web_sys::console::log_1(&canonical_json::text(&line).into());
    }

    /// Sends a message to the key's object; what it says of purges is heard at once.
    pub(super) async fn send(self: &Rc<Self>, message: Message, entry: Vec<u8>) -> Told {
        let hint = self.visit.config.location_hint.as_deref();
        let is_acquire = matches!(message, Message::Acquire { .. });
        let sent =
            object_stub::send_within(&self.visit.env, &self.asked.key.name(), hint, message, entry).await;
        let (reply, beside) = match sent {
            Ok(answered) => answered?,
            Err(late) => {
                if is_acquire {
                    let job = Rc::clone(self);
                    bindings::behind(&*self.visit.context, async move { job.give_back(late).await });
                }
                return Err(Lost::Broken);
            }
        };
        let now = clock::now();
        if self.hear(reply.floor) {
            cache_api::hear(self.host(), &self.asked.key, reply.floor, self.route.lifetime.physical()).await;
        }
        let entry = match &reply.answer {
            Answer::Newer { generation, age, ttl } => {
                let read = match self.look_up_memory() {
                    // Somebody here has read and checked the same bytes.
                    Some(known) if known.committed && known.generation == *generation => {
                        Some((*known).clone())
                    }
                    _ => {
                        let read = entry::decode(&beside, &self.asked.key.text).ok();
                        read.filter(|it| it.generation == *generation)
                    }
                };
                if read.is_none() {
                    isolate::count(MetricEvent::EntryUnreadable);
                }
                read.map(|entry| Arc::new(entry.adopted(now, *age, *ttl)))
            }
            _ => None,
        };
        Ok((reply, entry))
    }

    async fn acquire(self: &Rc<Self>, seen: u64, refresh: &Refresh) -> Event {
        let (terms, nonce) = isolate::with(|isolate| {
            let name = isolate.dice.name();
            let terms = isolate.local.terms(&self.asked.key.hash, &self.route, name, refresh.delta());
            (terms, isolate.dice.nonce())
        });
        if nonce.is_none() {
            isolate::count(MetricEvent::NoEntropy);
        }
        let message = || Message::Acquire { seen, nonce: nonce.clone(), terms };
        let mut answered = self.send(message(), Vec::new()).await;
        if matches!(answered, Err(Lost::Retryable)) {
            // The nonce makes the second question the same as the first.
            answered = self.send(message(), Vec::new()).await;
        }
        match answered {
            Ok((reply, entry)) if !matches!(reply.answer, Answer::Refused { .. }) => {
                Event::Replied(reply, entry)
            }
            Ok(_) | Err(_) => Event::ObjectLost { may_compute: self.may_compute_without_lease(refresh) },
        }
    }

    /// Nobody waits for this, so it leaves half of the places to those for whom somebody does.
    async fn wait_behind(self: &Rc<Self>, seen: u64) -> Event {
        let message = Message::Wait { seen, max_waiters: self.route.max_waiters / 2 };
        match self.send(message, Vec::new()).await {
            Ok((reply, entry)) => Event::Replied(reply, entry),
            Err(_) => Event::ObjectLost { may_compute: false },
        }
    }

    /// A grant that comes after everybody has stopped waiting for it would lock the key for a lease.
    async fn give_back(self: &Rc<Self>, late: Task<Answered>) {
        let Ok((reply, _)) = late.await else { return };
        self.hear(reply.floor);
        if let Answer::Granted { token } = reply.answer {
            isolate::count(MetricEvent::GrantGivenBack);
            let _ = self.send(Message::Fail { token, failure: Failure::GivenBack }, Vec::new()).await;
        }
    }

    fn may_compute_without_lease(&self, refresh: &Refresh) -> bool {
        isolate::with(|isolate| {
            isolate.local.may_compute_without_lease(self.asked.key.hash, &self.route, refresh, clock::now())
        })
    }

    async fn commit(self: &Rc<Self>, entry: &Arc<Entry>) -> Event {
        let message = || Message::Commit {
            token: entry.generation,
            age: entry.age(clock::now()),
            lifetime: entry.lifetime,
        };
        let mut answered = self.send(message(), entry::encode(entry)).await;
        if matches!(answered, Err(Lost::Retryable)) {
            // A commit may be repeated: the token says which it was.
            answered = self.send(message(), entry::encode(entry)).await;
        }
        match answered {
            Ok((reply, entry)) => Event::Replied(reply, entry),
            Err(_) => Event::ObjectLost { may_compute: false },
        }
    }

    async fn fail(self: &Rc<Self>, token: u64, failure: Failure) -> Event {
        match self.send(Message::Fail { token, failure }, Vec::new()).await {
            Ok((reply, entry)) => Event::Replied(reply, entry),
            Err(_) => Event::ObjectLost { may_compute: false },
        }
    }

    async fn store(&self, entry: &Arc<Entry>) {
        if entry.committed {
            cache_api::accept(self.host(), &self.asked.key, entry).await;
        }
        isolate::with(|isolate| isolate.local.memory.accept(self.asked.key.hash, entry, clock::now()));
    }

    /// One origin call, counted once.
    pub(super) async fn compute(&self, purpose: Purpose) -> Result<Computed, Failure> {
        if !self.has_room() {
            return Err(Failure::GivenBack);
        }
        let call =
            isolate::with(|isolate| isolate.local.calls.begin(purpose, clock::now(), self.route.lease()));
        let question = Question {
            config: &self.visit.config,
            route: &self.route,
            body: &self.asked.body,
            headers: &self.asked.headers,
        };
        let result = origin::compute(&self.visit.env, question).await;
        let ended = Call::of(&result);
        isolate::with(|isolate| {
            if isolate.local.calls.settle(call) {
                isolate.flusher.fold(MetricEvent::Called { purpose, call: ended });
            }
        });
        result
    }
}
