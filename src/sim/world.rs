//! The world's state and its queue of events: one clock, one step at a time.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BinaryHeap},
    rc::Rc,
    sync::Arc,
};

use super::{
    baseline_stores::BaselineStores,
    clock::Clock,
    event::{Arrival, Fault, WorldEvent},
    invariants::{Invariants, Violation},
    object::{MessageTicket, Objects, SimObject},
    origin::Origin,
    report::{Cycle, Report},
    rng::{SimRng, Zipf},
    scenario::Scenario,
    tiers::{Colo, SimIsolate},
};
use crate::{
    core::{
        access::Identity,
        config::Route,
        entry::Variant,
        key::{Key, KeyParts},
        time::{Instant, Span},
    },
    isolate::{metrics::Counters, step::RequestFields, task::Task},
};

/// The true time at which every run begins: far from zero, so that clocks may step back.
pub(super) const BEGIN: Instant = Instant(1_000_000_000_000);

/// Whose task it is: the isolate's, for a key, and the request's variant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose {
    pub(super) isolate: usize,
    pub(super) key: usize,
    pub(super) variant: Option<u32>,
}

/// The fields of a request that asks for this variant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked(pub(super) Option<u32>);

/// The name of the field by which answers vary.
const FIELD: &str = "x-variant";

impl RequestFields for Asked {
    fn field(&self, name: &str) -> Option<String> {
        self.0.filter(|_| name == FIELD).map(|variant| variant.to_string())
    }
}

impl Asked {
    /// The fields by which an answer to this request varies.
    pub(super) fn variant(self) -> Variant {
        self.0.map(|variant| (FIELD.to_owned(), Some(variant.to_string()))).into_iter().collect()
    }
}

/// A task under way.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) whose: Whose,
    pub(super) task: Task,
    /// The request that it answers, if it is one.
    pub(super) arrival: Option<Arrival>,
    /// The number of its steps, so that a report for an earlier step is recognised and ignored.
    pub(super) steps: u64,
    /// Whether the reply to the message under way is wanted after its limit.
    pub(super) wants_late_reply: bool,
    /// The place of the variant's key with which its request goes on afterwards.
    pub(super) goes_on_with: Option<usize>,
}

#[derive(Debug)]
struct Scheduled {
    at: Instant,
    number: u64,
    what: WorldEvent,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    /// Reversed, because the heap yields the greatest: earlier events are greater, and of two events at the
    /// same instant the one that was scheduled first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// The life of the hottest key's entry that is under way.
#[derive(Debug, Default)]
struct CurrentCycle {
    expiry: Option<Instant>,
    generation: u64,
    first: Option<f64>,
    triggers: u32,
}

/// A world under way.
#[derive(Debug)]
pub struct World {
    pub(super) scenario: Scenario,
    pub(super) route: Rc<Route>,
    pub(super) now: Instant,
    queue: BinaryHeap<Scheduled>,
    number: u64,
    pub(super) arrivals: SimRng,
    pub(super) zipf: Zipf,
    pub(super) rng: SimRng,
    pub(super) keys: Vec<Key>,
    pub(super) colos: Vec<Colo>,
    pub(super) isolates: Vec<SimIsolate>,
    pub(super) objects: Objects,
    pub(super) unreachable_until: Instant,
    pub(super) origin: Origin,
    pub(super) tasks: BTreeMap<u64, Running>,
    pub(super) next_task: u64,
    /// Messages whose late reply is wanted.
    pub(super) late: BTreeMap<MessageTicket, Whose>,
    pub(super) baselines: BaselineStores,
    pub(super) counters: Counters,
    pub(super) report: Report,
    pub(super) invariants: Invariants,
    pub(super) covered: Vec<Option<Span>>,
    cycle: CurrentCycle,
    log: Option<Vec<String>>,
}

impl World {
    /// The world before its first event.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        let colos: Vec<Colo> = (0..scenario.colos).map(|_| Colo::default()).collect();
        let isolates = (0..scenario.colos * scenario.isolates)
            .map(|index| SimIsolate::new((index / scenario.isolates.max(1)) as usize, u64::from(index) + 1))
            .collect();
        let mut keys: Vec<Key> = (0..scenario.keys).map(|index| key_of(&scenario, index)).collect();
        for key in 0..scenario.keys as usize {
            for variant in 0..scenario.variants {
                keys.push(keys[key].variant(&Asked(Some(variant)).variant()));
            }
        }
        let mut world = Self {
            route: scenario.route(),
            now: BEGIN,
            queue: BinaryHeap::new(),
            number: 0,
            arrivals: SimRng::new(scenario.seed, 1),
            zipf: Zipf::new(scenario.keys, scenario.zipf),
            rng: SimRng::new(scenario.seed, 3),
            objects: Objects {
                clock: Clock::default(),
                all: keys.iter().map(|_| SimObject::default()).collect(),
            },
            unreachable_until: Instant::EPOCH,
            origin: Origin::new(&scenario),
            tasks: BTreeMap::new(),
            next_task: 0,
            late: BTreeMap::new(),
            baselines: BaselineStores::new(&scenario),
            counters: Counters::default(),
            report: Report::default(),
            invariants: Invariants::new(&scenario),
            covered: vec![None; keys.len()],
            cycle: CurrentCycle::default(),
            log: None,
            keys,
            colos,
            isolates,
            scenario,
        };
        world.begin();
        world
    }

    /// Keeps a transcript from now on.
    #[must_use]
    pub fn with_log(mut self) -> Self {
        self.log = Some(Vec::new());
        self
    }

    /// The transcript, a line for each event.
    #[must_use]
    pub fn log(&self) -> &[String] {
        self.log.as_deref().unwrap_or_default()
    }

    /// The simulated time since the begin of the run.
    #[must_use]
    pub fn elapsed(&self) -> Span {
        self.now.since(BEGIN)
    }

    /// The report until now.
    #[must_use]
    pub fn report(&self) -> Report {
        Report { calls: self.origin.calls, counters: self.counters.clone(), ..self.report.clone() }
    }

    /// The request rate of the hottest key, in requests per second.
    #[must_use]
    pub fn hot_rate(&self) -> f64 {
        self.scenario.rate * self.zipf.share(0)
    }

    /// The next event; false when nothing is left to happen.
    ///
    /// # Errors
    /// A violated invariant.
    pub fn step(&mut self) -> Result<bool, Violation> {
        let Some(Scheduled { at, what, .. }) = self.queue.pop() else {
            self.finish();
            return self.invariants.first.take().map_or(Ok(false), Err);
        };
        self.now = at;
        self.report.steps += 1;
        self.note(|| what.describe());
        self.happen(what);
        if self.scenario.faults.any() {
            self.invariants.sums(self.now.since(BEGIN), &self.counters);
        }
        self.invariants.first.take().map_or(Ok(true), Err)
    }

    fn begin(&mut self) {
        self.schedule_arrival();
        if let Some(burst) = self.scenario.burst {
            self.schedule(burst.every, WorldEvent::Burst);
        }
        self.begin_faults();
    }

    fn happen(&mut self, what: WorldEvent) {
        match what {
            WorldEvent::Arrival => self.on_arrival(),
            WorldEvent::Burst => self.on_burst(),
            WorldEvent::Task(ticket, report) => self.on_report(ticket, report),
            WorldEvent::Wake { isolate, name, ticket, shared } => self.on_wake(isolate, name, ticket, shared),
            WorldEvent::Deliver { key, from, bytes } => self.on_delivery(key, from, &bytes),
            WorldEvent::SleepEnds { key, from } => self.on_sleep_end(key, from),
            WorldEvent::OriginEnds { key } => self.origin.under_way[key] -= 1,
            WorldEvent::Baseline { colo, key, call, waits } => self.on_baseline(colo, key, &call, waits),
            WorldEvent::Fault(fault) => self.on_fault(fault),
        }
    }

    /// The arrivals are over: every request and every refresh must have ended.
    fn finish(&mut self) {
        let at = self.elapsed();
        let left: Vec<_> = self.tasks.values().map(|running| format!("{:?}", running.task)).collect();
        self.invariants.ended(left.is_empty(), at, || format!("left at the end: {left:?}"));
        self.invariants.sums(at, &self.counters);
    }

    pub(super) fn schedule(&mut self, after: Span, what: WorldEvent) {
        self.number += 1;
        self.queue.push(Scheduled { at: self.now.plus(after), number: self.number, what });
    }

    // Cycles of the hottest key.

    /// A request has found the entry due for a refresh.
    pub(super) fn triggered(&mut self, key: usize, generation: u64) {
        // A trigger on an older generation belongs to the cycle that has ended.
        let is_of_this_cycle = key == 0 && generation >= self.cycle.generation;
        let Some(expiry) = self.cycle.expiry.filter(|_| is_of_this_cycle) else { return };
        let gap = expiry.as_seconds() - self.now.as_seconds();
        self.cycle.first.get_or_insert(gap);
        self.cycle.triggers += u32::from(gap > 0.0);
    }

    /// A new entry was committed: ends the key's cycle and begins the next.
    pub(super) fn cycle_ends(&mut self, key: usize, generation: u64) {
        if key != 0 {
            return;
        }
        let expiry = Some(self.now.plus(self.scenario.lifetime.ttl));
        let next = CurrentCycle { expiry, generation, ..CurrentCycle::default() };
        let ended = std::mem::replace(&mut self.cycle, next);
        if let Some((gap, expiry)) = ended.first.zip(ended.expiry) {
            let late = self.now > expiry;
            self.report.cycles.push(Cycle { gap, triggers: ended.triggers, late });
        }
    }

    // Small things.

    pub(super) fn clock_of(&self, isolate: usize) -> Instant {
        self.colos[self.isolates[isolate].colo].clock.read(self.now)
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        let at = self.elapsed();
        if let Some(log) = &mut self.log {
            log.push(format!("{:>8} {}", at.0, line()));
        }
    }

    fn begin_faults(&mut self) {
        let faults = self.scenario.faults.clone();
        if !faults.any() {
            return;
        }
        for place in 0..self.colos.len() {
            let clock = self.rng.skew(faults.skew);
            self.colos[place].clock = clock;
            self.invariants.clock(clock);
        }
        self.objects.clock = self.rng.skew(faults.skew);
        self.invariants.clock(self.objects.clock);
        for fault in Fault::RECURRING {
            self.schedule_fault(fault);
        }
        self.schedule(faults.until, WorldEvent::Fault(Fault::End));
    }
}

/// Runs a scenario to its end.
///
/// # Errors
/// The first violated invariant.
pub fn run(scenario: Scenario) -> Result<Report, Violation> {
    let mut world = World::new(scenario);
    while world.step()? {}
    Ok(world.report())
}

/// With tenants, every group of as many keys is one request, which differs only in who asks.
fn key_of(scenario: &Scenario, index: u32) -> Key {
    let parts = KeyParts { version: "1", origin: "sim", method: "POST", path: "/", headers: &[] };
    let tenant = scenario.tenant(index as usize).map(|tenant| Arc::from(tenant.to_string()));
    let identity = Identity { tenant, ..Identity::ANONYMOUS };
    let route = scenario.route();
    let Some(scoped) = route.scoped(&identity) else {
        unreachable!("a route is by tenant only if there are tenants")
    };
    scoped.key(&parts, &(index / scenario.tenants.max(1)).to_string())
}
