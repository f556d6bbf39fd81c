//! What a request for a key would get now, and why. Nothing changes: the request's own task runs on a copy of
//! what this isolate knows of the key, so that the explanation cannot differ from the decision.

use std::sync::Arc;

use super::{
    computation::TriggerOutcome,
    metrics::{MetricEvent, ServedAs},
    served::Answered,
    state::IsolateState,
    step::{Background, Done, Effect, Event, KeyedRoute},
    task::Task,
};
use crate::{
    core::{
        entry::{Entry, Lifetime},
        freshness::{self, Verdict},
        purge::Floor,
        time::{Instant, Span},
        xfetch::{self, Chance, Draw},
    },
    protocol::message::Inspection,
};

/// The bits of the smallest draw, which triggers whenever any draw does.
const SMALLEST_DRAW: u64 = 0;
/// The bits of a draw that never triggers early.
const LARGEST_DRAW: u64 = u64::MAX;

/// How a request would be answered.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpectedAnswer {
    /// By this entry, at once.
    Entry(Arc<Entry>),
    /// By the entry that the key's object holds, without a computation.
    FromObject,
    /// By a computation that this request starts and waits for.
    Leads,
    /// By a computation that is under way, for which this request waits.
    Waits,
    /// By the origin, uncached: the key's answers must not be stored.
    Passes,
    /// By the entry of another variant of the key, which the request's header fields choose.
    OtherVariant,
    /// By an error: the origin has failed, or there is no room.
    Refused,
}

/// What happens if the request triggers a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedRefresh {
    /// A refresh begins behind the answer.
    Begins,
    /// None begins, for this reason.
    Blocked(TriggerOutcome),
}

/// What a request would get now.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The answer.
    pub answer: ExpectedAnswer,
    /// How it would count; `None` while the request waits for a computation.
    pub class: Option<ServedAs>,
    /// Whether the colo's cache is read first.
    pub reads_colo: bool,
    /// The probability that this request triggers a refresh: 1 for a stale entry.
    pub probability: f64,
    /// When the early window of the entry that answers opens.
    pub window_opens: Option<Instant>,
    /// What a trigger leads to; `None` if no draw triggers.
    pub refresh: Option<ExpectedRefresh>,
}

impl Explanation {
    /// The entry that would answer.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry> {
        match &self.answer {
            ExpectedAnswer::Entry(entry) => Some(entry),
            ExpectedAnswer::FromObject
            | ExpectedAnswer::Leads
            | ExpectedAnswer::Waits
            | ExpectedAnswer::Passes
            | ExpectedAnswer::OtherVariant
            | ExpectedAnswer::Refused => None,
        }
    }

    /// The word for the answer.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match (&self.answer, self.class) {
            (ExpectedAnswer::Entry(_), Some(ServedAs::HitStale)) => "stale_hit",
            (ExpectedAnswer::Entry(_), _) => "fresh_hit",
            (ExpectedAnswer::FromObject, _) => "from_object",
            (ExpectedAnswer::Leads, _) => "computes",
            (ExpectedAnswer::Waits, _) => "waits",
            (ExpectedAnswer::Passes, _) => "passes",
            (ExpectedAnswer::OtherVariant, _) => "varies",
            (ExpectedAnswer::Refused, _) => "error",
        }
    }

    /// What a trigger leads to, as a word and as a sentence; `None` if no draw triggers.
    #[must_use]
    pub fn refresh_words(&self) -> Option<(&'static str, &'static str)> {
        Some(match self.refresh? {
            ExpectedRefresh::Begins => ("begins", "A trigger begins a refresh behind the answer."),
            ExpectedRefresh::Blocked(TriggerOutcome::Backoff) => {
                ("held_back", "A trigger begins none, after a failure or without room for a call.")
            }
            ExpectedRefresh::Blocked(_) => ("under_way", "A trigger begins none: one is under way."),
        })
    }

    /// The reasons, one sentence each. `object` is what the key's object has replied, if it could be reached, and
    /// `floor` the highest purge floor that any tier knows.
    #[must_use]
    pub fn words(
        &self,
        subject: KeyedRoute<'_>,
        object: Option<&Inspection>,
        floor: Floor,
        now: Instant,
    ) -> Vec<String> {
        let is_stale = self.class == Some(ServedAs::HitStale);
        let headers = match subject.route.headers.as_slice() {
            [] => String::new(),
            names => format!(", and the headers {}", names.join(", ")),
        };
        let mut words = vec![format!(
            "The path matches the route {}; the key contains method, path, query and canonical body{headers}.",
            subject.route.path
        )];
        words.push(match (&self.answer, self.reads_colo) {
            (ExpectedAnswer::Entry(entry), _) if is_stale => {
                timed("An entry answers at once; it expired ", now.since(entry.expiry()), " s ago.")
            }
            (ExpectedAnswer::Entry(entry), false) => {
                timed("An entry answers from memory; it expires in ", entry.expiry().since(now), " s.")
            }
            (ExpectedAnswer::Entry(entry), true) => {
                timed("An entry answers from the colo; it expires in ", entry.expiry().since(now), " s.")
            }
            (ExpectedAnswer::FromObject, _) => {
                "Memory and colo hold no entry that may be served: the request gets the object's.".to_owned()
            }
            (ExpectedAnswer::Leads, _) => {
                "No entry may be served: the request asks the object for the lease, and waits.".to_owned()
            }
            (ExpectedAnswer::Waits, _) => {
                "No entry may be served: the request waits for the computation under way.".to_owned()
            }
            (ExpectedAnswer::Passes, _) => {
                "The answers of this key must not be stored: the origin gets the request, uncached."
                    .to_owned()
            }
            (ExpectedAnswer::OtherVariant, _) => {
                "The answers vary by header fields of the request, which choose the entry.".to_owned()
            }
            (ExpectedAnswer::Refused, _) => {
                "Nothing may be served or computed: an error, at once.".to_owned()
            }
        });
        if let Some(opens) = self.window_opens {
            words.push(if self.probability >= 1.0 {
                "It triggers a refresh for certain.".to_owned()
            } else if is_stale {
                "It may be served only because the origin fails, and triggers no refresh.".to_owned()
            } else if now < opens {
                timed("No refresh before the early window opens in ", opens.since(now), " s.")
            } else {
                let percent = Span((self.probability * 100_000.0) as u64);
                timed("It triggers a refresh with a probability of ", percent, " %.")
            });
        }
        words.extend(self.refresh_words().map(|(_, sentence)| sentence.to_owned()));
        words.push(match object {
            None => "The object cannot be reached.".to_owned(),
            Some(Inspection { lease_token: Some(_), lease_remaining, .. }) => {
                timed("The object has granted a lease for ", lease_remaining.unwrap_or_default(), " s more.")
            }
            Some(Inspection { failure: Some(_), failure_remaining, .. }) => timed(
                "The object grants no lease after a failure for ",
                failure_remaining.unwrap_or_default(),
                " s more.",
            ),
            Some(_) => "The object would grant the lease.".to_owned(),
        });
        for (below, became) in [(floor.soft, "stale"), (floor.hard, "deleted")] {
            if below > 0 {
                words.push(format!("A purge made the generations below {below} {became}."));
            }
        }
        words
    }
}

/// A sentence with a number of seconds in it. Formatting a float would add ten kilobytes to the wasm.
fn timed(before: &str, span: Span, after: &str) -> String {
    format!("{before}{}.{}{after}", span.0 / 1_000, span.0 % 1_000 / 100)
}

/// What one run of the task has shown.
struct DryRun {
    answer: ExpectedAnswer,
    class: Option<ServedAs>,
    reads_colo: bool,
    refresh: Option<ExpectedRefresh>,
    /// The generation seen by the request's own computation.
    seen: Option<u64>,
    /// The key's request rate with this request, in requests per second.
    rate: Option<f64>,
}

/// Explains what a request for this key would get at `now`, given the record in the colo's cache and what the key's
/// object has replied, if it could be reached.
#[must_use]
pub fn explain(
    isolate: &IsolateState,
    subject: KeyedRoute<'_>,
    colo: Option<&[u8]>,
    object: Option<&Inspection>,
    now: Instant,
) -> Explanation {
    let run = dry_run(isolate, subject, colo, now, LARGEST_DRAW);
    let eager = dry_run(isolate, subject, colo, now, SMALLEST_DRAW);
    let (mut probability, mut window_opens) = (0.0, None);
    if let ExpectedAnswer::Entry(entry) = &run.answer {
        let eagerness = freshness::eagerness(Some(entry), now, subject.route, || run.rate);
        let rule = freshness::rule(entry, eagerness);
        window_opens = Some(entry.expiry().minus(rule.window));
        probability = match freshness::judge(Some(entry), now, eagerness, Draw::NEVER_EARLY) {
            Verdict::Fresh | Verdict::RefreshEarly => xfetch::probability(entry.expiry().since(now), rule),
            Verdict::Stale => 1.0,
            Verdict::Miss { .. } => 0.0,
        };
    }
    let DryRun { mut answer, class, reads_colo, seen, .. } = run;
    if let (Some(object), Some(seen)) = (object, seen) {
        answer = at_object(object, seen, subject.route.lifetime);
    }
    Explanation { answer, class, reads_colo, probability, window_opens, refresh: eager.refresh }
}

/// How a request is answered that asks the key's object for the lease, having seen this generation. The object
/// does not tell its entry's lifetime, which is the route's unless the route has changed since.
#[must_use]
pub fn at_object(object: &Inspection, seen: u64, lifetime: Lifetime) -> ExpectedAnswer {
    let servable = lifetime.ttl.plus(lifetime.stale_while_revalidate);
    match object {
        Inspection { generation: Some(generation), age: Some(age), .. }
            if *generation > seen && *age < servable =>
        {
            ExpectedAnswer::FromObject
        }
        Inspection { lease_token: Some(_), .. } => ExpectedAnswer::Waits,
        Inspection { failure: Some(_), .. } => ExpectedAnswer::Refused,
        Inspection { .. } => ExpectedAnswer::Leads,
    }
}

fn dry_run(
    isolate: &IsolateState,
    subject: KeyedRoute<'_>,
    colo: Option<&[u8]>,
    now: Instant,
    bits: u64,
) -> DryRun {
    let mut copy = isolate.of_key(&subject.key.hash);
    let mut reads_colo = false;
    let mut refresh = None;
    let mut task = Task::request();
    let mut event = Event::Started;
    loop {
        let step = task.on(event, subject, &mut copy, now, Chance(Some(bits)));
        let mut leads = None;
        let mut woken = None;
        for background in step.notes.spawn {
            match background {
                Background::Refresh(order) if order.for_whom.is_some() => leads = Some(order.seen),
                Background::Refresh(_) => refresh = Some(ExpectedRefresh::Begins),
                Background::SharedLook { .. } => {
                    reads_colo = true;
                    let mut look = Task::new(background);
                    look.on(Event::Started, subject, &mut copy, now, Chance(None));
                    let bytes = colo.map(<[u8]>::to_vec);
                    let found = look.on(Event::Colo(bytes), subject, &mut copy, now, Chance(None));
                    woken = found.notes.wake.into_iter().next().map(|(_, shared)| shared);
                }
                Background::Adopt(_) | Background::SharedWait { .. } => {}
            }
        }
        for event in step.notes.events {
            if let MetricEvent::Triggered { trigger, .. } = event {
                refresh = Some(ExpectedRefresh::Blocked(trigger));
            }
        }
        let rate = copy.memory.rate(&subject.key.hash, subject.route.lifetime.ttl);
        let ended = |answer, class| DryRun { answer, class, reads_colo, refresh, seen: leads, rate };
        event = match (step.effect, woken) {
            (Effect::LookUpColo, _) => {
                reads_colo = true;
                Event::Colo(colo.map(<[u8]>::to_vec))
            }
            (Effect::Sleep { .. }, Some(shared)) => Event::Woken(shared),
            (Effect::CallOrigin { .. } | Effect::Done(Done::Forward), _) => {
                return ended(ExpectedAnswer::Passes, None);
            }
            (Effect::Done(Done::Varies(_)), _) => return ended(ExpectedAnswer::OtherVariant, None),
            (Effect::Done(Done::Served(served)), _) => {
                let answer = match served.answer {
                    Answered::Entry { entry, .. } => ExpectedAnswer::Entry(entry),
                    Answered::Uncached(_)
                    | Answered::Refusal { .. }
                    | Answered::Failed { .. }
                    | Answered::TooManyWaiters
                    | Answered::Unavailable
                    | Answered::NotCached => ExpectedAnswer::Refused,
                };
                return ended(answer, Some(served.class));
            }
            (_, _) if leads.is_some() => return ended(ExpectedAnswer::Leads, None),
            (_, _) => return ended(ExpectedAnswer::Waits, None),
        };
    }
}
