//! A request to a cached route, from its arrival to what is served: memory, then the colo's cache, then
//! either an entry at once with a refresh behind it, or [`super::miss`].

use std::sync::Arc;

use super::{
    computation::{Computed, Purpose},
    metrics::MetricEvent,
    miss::MissOutcome,
    miss_task::{MissTask, Next},
    origin_calls::CallId,
    refresh_task,
    served::Served,
    share,
    step::{Background, Done, Effect, Event, RefreshOrder, Shared, StepContext},
};
use crate::core::{
    config::OBJECT_TIMEOUT,
    entry::Entry,
    failure::Failure,
    freshness::Verdict,
    http::{CacheStatus, RequestDirectives},
    time::{Instant, Span},
    xfetch::Draw,
};

/// A request under way.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct RequestTask {
    arrived: Instant,
    /// The one draw of this request: every entry that it meets is judged with it.
    draw: Draw,
    /// What the client wants, if the route honours that.
    wants: RequestDirectives,
    stage: Stage,
}

/// What it waits for.
#[derive(Clone, Debug, PartialEq, Hash)]
enum Stage {
    New,
    /// The same, for a request that is not to be cached.
    Passing,
    /// Its own lookup in the colo, because memory holds a stale entry; `owner` is its mark in the gate.
    OwnLook {
        in_hand: Arc<Entry>,
        owner: u64,
    },
    /// A lookup in the colo that it shares with other requests, because memory holds nothing to serve.
    SharedLook {
        in_hand: Option<Arc<Entry>>,
    },
    /// A miss, which waits for a computation.
    Missing(MissTask),
    /// An origin call whose answer is not stored; the old entry is served if the call fails.
    Uncached {
        call: CallId,
        fallback: Option<Arc<Entry>>,
    },
    Ended,
}

impl RequestTask {
    pub(super) fn new() -> Self {
        let wants = RequestDirectives::default();
        Self { arrived: Instant::EPOCH, draw: Draw::NEVER_EARLY, wants, stage: Stage::New }
    }

    /// A request that is not to be cached.
    pub(super) fn uncached() -> Self {
        Self { stage: Stage::Passing, ..Self::new() }
    }

    pub(super) fn on(&mut self, event: Event, context: &mut StepContext<'_>) -> Effect {
        match (std::mem::replace(&mut self.stage, Stage::Ended), event) {
            (Stage::New, Event::Started) => self.start(context),
            (Stage::Passing, Event::Started) => self.respond(MissOutcome::Uncached(None), context),
            (Stage::OwnLook { in_hand, owner }, event) => {
                let in_colo = match event {
                    Event::Colo(bytes) => context.adopt_from_colo(bytes.as_deref()),
                    _ => None,
                };
                let key = context.subject.key;
                let found = context.isolate.after_colo(key, in_colo, Some(in_hand), self.arrived);
                context.isolate.gate.end(&key.hash, owner);
                self.serve(found, context)
            }
            (Stage::SharedLook { in_hand }, event) => {
                let in_colo = match event {
                    Event::Woken(Shared::Colo(found)) => found,
                    _ => None,
                };
                let key = context.subject.key;
                let found = context.isolate.after_colo(key, in_colo, in_hand, self.arrived);
                self.serve(found, context)
            }
            (Stage::Missing(mut miss), event) => {
                let next = miss.on(event, context);
                self.after_miss(miss, next, context)
            }
            (Stage::Uncached { call, fallback }, Event::Origin(result)) => {
                refresh_task::settle(call, Purpose::Cold, &result, context);
                served(uncached(result, fallback, context))
            }
            // The task does not wait for this event, so the world has made a mistake.
            (Stage::New | Stage::Passing | Stage::Uncached { .. } | Stage::Ended, _) => {
                served(Served::unavailable())
            }
        }
    }

    /// Serves from memory if it can: a fresh entry, and a stale one unless this request is the one that looks
    /// into the colo first.
    fn start(&mut self, context: &mut StepContext<'_>) -> Effect {
        let (subject, now) = (context.subject, context.now);
        self.arrived = now;
        self.draw = context.chance.draw();
        if subject.route.honours_requests {
            self.wants = subject.fields.directives();
            if self.wants.no_store {
                return self.respond(MissOutcome::Uncached(None), context);
            }
        }
        let found = context.isolate.arrived(subject.key, subject.route, now);
        if let Some(effect) = other_variant(found.as_deref(), context) {
            return effect;
        }
        let verdict = self.judge(found.as_deref(), now, context);
        match (found, verdict) {
            (Some(entry), Verdict::Fresh) => served(Served::hit(entry, false, now)),
            (Some(entry), Verdict::RefreshEarly) => {
                trigger(&entry, Purpose::Early, false, context);
                served(Served::hit(entry, false, now))
            }
            // Another isolate of the colo may have refreshed the entry. One request at a time looks.
            (Some(entry), Verdict::Stale) => {
                match context.isolate.begin(subject.key.hash, now, OBJECT_TIMEOUT) {
                    Ok(owner) => {
                        self.stage = Stage::OwnLook { in_hand: entry, owner };
                        Effect::LookUpColo
                    }
                    Err(_) => {
                        trigger(&entry, Purpose::Stale, false, context);
                        served(Served::hit(entry, true, now))
                    }
                }
            }
            (in_hand, _) => {
                self.stage = Stage::SharedLook { in_hand };
                share::look(OBJECT_TIMEOUT, context)
            }
        }
    }

    fn judge(&self, entry: Option<&Entry>, now: Instant, context: &StepContext<'_>) -> Verdict {
        let subject = context.subject;
        let verdict = context.isolate.judge(&subject.key.hash, subject.route, entry, now, self.draw);
        let is_accepted = |entry: &Entry| {
            let expiry = entry.expiry();
            self.wants.accept(entry.age(now), expiry.since(now), now.since(expiry))
        };
        match entry {
            Some(entry) if !is_accepted(entry) => Verdict::Miss { usable_on_error: false },
            _ => verdict,
        }
    }

    /// Serves after the lookup. The entry is judged at the request's arrival, so that a warm request does not
    /// become a miss because an entry's window ended during the lookup.
    fn serve(&mut self, found: Option<Arc<Entry>>, context: &mut StepContext<'_>) -> Effect {
        if let Some(effect) = other_variant(found.as_deref(), context) {
            return effect;
        }
        let verdict = self.judge(found.as_deref(), self.arrived, context);
        match (found, verdict) {
            (None, _) => self.miss(None, false, context),
            (found, Verdict::Miss { usable_on_error }) => self.miss(found, usable_on_error, context),
            (Some(entry), verdict) => hit(entry, verdict, context),
        }
    }

    fn miss(&mut self, found: Option<Arc<Entry>>, is_usable: bool, context: &mut StepContext<'_>) -> Effect {
        if self.wants.only_if_cached {
            return served(Served::not_cached());
        }
        let mut miss = MissTask::new(found, is_usable, context);
        let next = miss.start(context);
        self.after_miss(miss, next, context)
    }

    fn after_miss(&mut self, miss: MissTask, next: Next, context: &mut StepContext<'_>) -> Effect {
        match next {
            Next::Effect(effect) => {
                self.stage = Stage::Missing(miss);
                effect
            }
            Next::Outcome(outcome) => self.respond(outcome, context),
        }
    }

    fn respond(&mut self, outcome: MissOutcome, context: &mut StepContext<'_>) -> Effect {
        let now = context.now;
        if let MissOutcome::Collapsed(entry) | MissOutcome::Hit(entry) | MissOutcome::Fallback(entry) =
            &outcome
            && let Some(effect) = other_variant(Some(entry), context)
        {
            adopt(entry, context);
            return effect;
        }
        let outcome = match outcome {
            MissOutcome::Uncached(fallback) => {
                MissOutcome::Uncached(fallback.filter(|entry| context.subject.is_answered_by(entry)))
            }
            outcome => outcome,
        };
        served(match outcome {
            MissOutcome::Computed(entry, true) => Served::computed(entry, CacheStatus::Stored),
            MissOutcome::Computed(entry, false) => Served::computed(entry, CacheStatus::Miss),
            MissOutcome::Collapsed(entry) => {
                adopt(&entry, context);
                Served::computed(entry, CacheStatus::Collapsed)
            }
            MissOutcome::Hit(entry) => {
                adopt(&entry, context);
                let verdict = self.judge(Some(&entry), now, context);
                return hit(entry, verdict, context);
            }
            MissOutcome::Fallback(entry) => Served::fallback(entry, now),
            MissOutcome::Passed(computed) => Served::uncached(computed),
            // Such an answer is passed on as it comes, unless an older entry may have to take its place.
            MissOutcome::Uncached(None) if context.subject.route.origin_policy().is_some() => {
                return Effect::Done(Done::Forward);
            }
            MissOutcome::Uncached(fallback) => {
                match refresh_task::begin_call(Purpose::Cold, false, context) {
                    Some((call, effect)) => {
                        self.stage = Stage::Uncached { call, fallback };
                        return effect;
                    }
                    None => uncached(Err(Failure::GivenBack), fallback, context),
                }
            }
            MissOutcome::Negative { status, content_type, body } => {
                Served::failure(Failure::Negative { status, content_type, body, ttl: Span::ZERO })
            }
            MissOutcome::Failed { reason, retry_after } => Served::failed(reason, retry_after),
            MissOutcome::TooManyWaiters => Served::too_many_waiters(),
            MissOutcome::Unavailable => Served::unavailable(),
            MissOutcome::TimedOut => Served::timed_out(),
        })
    }
}

/// The end of a request for which the entry found is another variant of the key's answers.
fn other_variant(found: Option<&Entry>, context: &StepContext<'_>) -> Option<Effect> {
    let entry = found.filter(|entry| !context.subject.is_answered_by(entry))?;
    let names = entry.variant.iter().map(|(name, _)| name.clone()).collect();
    Some(Effect::Done(Done::Varies(names)))
}

fn served(served: Served) -> Effect {
    Effect::Done(Done::Served(served))
}

/// Serves an entry, and starts the refresh that its verdict requires.
fn hit(entry: Arc<Entry>, verdict: Verdict, context: &mut StepContext<'_>) -> Effect {
    match verdict {
        Verdict::RefreshEarly => trigger(&entry, Purpose::Early, true, context),
        Verdict::Stale => trigger(&entry, Purpose::Stale, true, context),
        Verdict::Fresh | Verdict::Miss { .. } => {}
    }
    served(Served::hit(entry, verdict == Verdict::Stale, context.now))
}

/// Starts a background refresh, or counts the reason why none starts. `has_looked`: the entry was read from the
/// colo or the object just before, so the refresh does not read the colo again.
fn trigger(entry: &Entry, purpose: Purpose, has_looked: bool, context: &mut StepContext<'_>) {
    let (subject, now) = (context.subject, context.now);
    match context.isolate.trigger(subject.key.hash, subject.route, now) {
        Ok(owner) => context.notes.spawn.push(Background::Refresh(RefreshOrder {
            purpose,
            seen: entry.generation,
            delta: Some(entry.delta),
            has_looked,
            owner,
            for_whom: None,
        })),
        Err(trigger) => context.count(MetricEvent::Triggered { purpose, trigger }),
    }
}

/// Stores an entry that the object has sent in memory, and in the background in the colo's cache.
fn adopt(entry: &Arc<Entry>, context: &mut StepContext<'_>) {
    let is_news = context.isolate.memory.accept(context.subject.key.hash, entry, context.now);
    if is_news && entry.committed {
        context.notes.spawn.push(Background::Adopt(Arc::clone(entry)));
    }
}

/// The answer after an origin call whose result is not stored. If the call failed, or there was no room for
/// it, the old entry is served, unless a purge or the end of its window forbids it.
fn uncached(
    result: Result<Computed, Failure>,
    fallback: Option<Arc<Entry>>,
    context: &mut StepContext<'_>,
) -> Served {
    let (floor, now) = (context.isolate.memory.floor(&context.subject.key.hash), context.now);
    match result {
        Ok(computed) if !computed.is_failure() => Served::uncached(computed),
        Err(failure @ (Failure::Negative { .. } | Failure::Pass { .. })) => Served::failure(failure),
        result => {
            let left = fallback.and_then(|entry| floor.applied(entry, now));
            match (left.filter(|entry| entry.is_usable_on_error(now)), result) {
                (Some(entry), _) => Served::fallback(entry, now),
                (None, Ok(computed)) => Served::uncached(computed),
                (None, Err(failure)) => Served::failure(failure),
            }
        }
    }
}
