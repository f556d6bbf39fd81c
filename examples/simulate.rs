//! The simulations of `npm run simulate`: many hostile worlds, and a comparison of the strategies.
//!
//! Arguments: `seeds FIRST COUNT`, `seed N` (one world, shrunk if it breaks),
//! `tenants REQUESTS` (worlds with tenants until there were so many requests), `strategies SECONDS`, `storms COUNT`
//! (the hot key of `npm run bench -- storm`, a minute from cold), or for the benchmarks `growth colos|requests COUNT`.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use xfetch_edge::{
    core::time::Span,
    isolate::metrics::Counter,
    sim::{self, Scenario, Strategy},
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| arguments.get(place).and_then(|it| it.parse::<u64>().ok());
    let is_well = match (arguments.first().map(String::as_str), number(1), number(2)) {
        (Some("seeds"), Some(first), Some(count)) => seeds(first, count),
        (Some("seed"), Some(seed), _) => one(seed),
        (Some("strategies"), Some(seconds), _) => strategies(seconds),
        (Some("storms"), Some(count), _) => storms(count),
        (Some("tenants"), Some(requests), _) => tenants(requests),
        (Some("growth"), _, Some(count)) => growth(&arguments[1], count),
        _ => {
            eprintln!(
                "seeds FIRST COUNT, seed N, tenants REQUESTS, strategies SECONDS, storms COUNT, or growth colos|requests COUNT"
            );
            false
        }
    };
    if !is_well {
        std::process::exit(1);
    }
}

#[expect(clippy::disallowed_methods, reason = "a program that shows its progress")]
fn seeds(first: u64, count: u64) -> bool {
    let began = Instant::now();
    let mut shown = began;
    let (mut steps, mut requests, mut calls, mut errors) = (0, 0, 0, 0);
    for done in 0..count {
        match sim::hostile(first + done) {
            Ok(figures) => {
                steps += figures.steps;
                requests += figures.counters.get(Counter::TotalRequests);
                calls += figures.calls;
                errors += figures.errors;
            }
            Err(broken) => {
                println!("\nseed {}: {broken}", first + done);
                return one(first + done);
            }
        }
        if shown.elapsed() > Duration::from_secs(2) {
            shown = Instant::now();
            let share = (done + 1) as f64 / count as f64;
            let left = began.elapsed().as_secs_f64() * (1.0 - share) / share;
            eprint!("\r{} of {count} seeds, {left:.0} s left   ", done + 1);
        }
    }
    eprint!("\r");
    println!("{count} seeds from {first}: every promise held after each of {steps} events.");
    println!(
        "{requests} requests, {calls} origin calls, {errors} answered with an error, {:.1} s.",
        began.elapsed().as_secs_f64()
    );
    true
}

/// Hostile worlds with two to four tenants whose requests are alike in all else, until there were so many requests.
fn tenants(requests: u64) -> bool {
    let (mut seed, mut seen, mut events, mut purges) = (0, 0, 0, 0);
    while seen < requests {
        seed += 1;
        let tenants = 2 + (seed % 3) as u32;
        let world = Scenario { tenants, keys: 2 * tenants, rate: 40.0, ..Scenario::hostile(seed) };
        purges += u64::from(world.faults.purges_every > Span::ZERO);
        match sim::run(world) {
            Ok(report) => {
                seen += report.counters.get(Counter::TotalRequests);
                events += report.steps;
            }
            Err(broken) => {
                println!("seed {seed}: {broken}");
                return false;
            }
        }
    }
    println!("{seen} requests in {seed} hostile worlds with tenants, {purges} of them with purges:");
    println!("every promise held after each of {events} events; no answer has crossed a scope.");
    true
}

/// Runs one world. If it breaks a promise, prints the transcript of the smallest world found that also does.
fn one(seed: u64) -> bool {
    let scenario = Scenario::hostile(seed);
    let Err(broken) = sim::run(scenario.clone()) else {
        println!("seed {seed}: every promise held.");
        return true;
    };
    let smaller = sim::shrunk(scenario, &broken);
    let lines = sim::transcript(smaller.clone());
    let file = "target/simulate.log";
    if let Err(error) = std::fs::write(file, lines.join("\n")) {
        eprintln!("{file}: {error}");
    }
    println!(
        "The last of {} events in the smallest world that breaks it; all of them are in {file}.\n",
        lines.len()
    );
    for line in &lines[lines.len().saturating_sub(60)..] {
        println!("{line}");
    }
    if let Err(broken) = sim::run(smaller.clone()) {
        println!("\n{broken}\n\n{smaller:#?}");
    }
    false
}

/// Prints the cost of a world as one JSON line, for this number of colos that share one key, or of requests.
#[expect(clippy::disallowed_methods, reason = "a program that measures itself")]
fn growth(what: &str, count: u64) -> bool {
    let scenario = match what {
        "colos" => {
            Scenario { colos: count as u32, rate: 60.0, duration: Span(600_000), ..Scenario::default() }
        }
        "requests" => Scenario { rate: 100.0, duration: Span(count * 10), keys: 100, ..Scenario::default() },
        _ => return false,
    };
    let began = Instant::now();
    let Some(figures) = kept(scenario) else {
        return false;
    };
    let asked = figures.counters.get(Counter::TotalRequests);
    println!(
        r#"{{"{what}":{count},"answered":{asked},"origin calls":{},"of least":{:.3},"past TTL":{:.5},"events":{},"ms":{:.1},"resident MiB":{:.1}}}"#,
        figures.calls,
        figures.calls as f64 / figures.least_calls.max(1) as f64,
        figures.past_ttl_share(),
        figures.steps,
        began.elapsed().as_secs_f64() * 1_000.0,
        resident(),
    );
    true
}

/// Runs a world and returns its report. If a promise is broken, prints it and returns `None`.
fn kept(scenario: Scenario) -> Option<sim::Report> {
    sim::run(scenario).inspect_err(|broken| eprintln!("{broken}")).ok()
}

/// Prints how the results of the benchmark's storm vary between `count` seeds: its hot key, for one minute
/// from a cold start.
fn storms(count: u64) -> bool {
    println!(
        "the hot key of a storm: 30 requests/s, origin 1 s with a spread of 0.3, 60 s from cold, {count} seeds\n"
    );
    println!("TTL s  colos  calls (share of the runs)           over 1.25  past TTL  runs over 1 %");
    for (ttl, colos) in [(5, 1), (5, 2), (10, 1), (10, 2)] {
        let (mut by_calls, mut past, mut over) = (BTreeMap::<u64, u64>::new(), 0.0, 0_u64);
        for seed in 1..=count {
            let mut scenario = Scenario {
                seed,
                colos,
                isolates: 1,
                rate: 30.0,
                duration: Span(60_000),
                spread: 0.3,
                object_delay: Span(1),
                colo_delay: Span(1),
                ..Scenario::default()
            };
            scenario.lifetime.ttl = Span(ttl * 1_000);
            let Some(figures) = kept(scenario) else {
                return false;
            };
            *by_calls.entry(figures.calls).or_default() += 1;
            past += figures.past_ttl_share();
            over += u64::from(figures.past_ttl_share() >= 0.01);
        }
        let percent = |runs: u64| runs as f64 / count as f64 * 100.0;
        let many =
            by_calls.iter().filter(|(calls, _)| (**calls * ttl) as f64 > 60.0 * 1.25).map(|it| it.1).sum();
        let calls: Vec<_> =
            by_calls.iter().map(|(calls, runs)| format!("{calls}: {:.1} %", percent(*runs))).collect();
        println!(
            "{ttl:>5}  {colos:>5}  {:<34}  {:>7.1} %  {:>6.2} %  {:>11.1} %",
            calls.join(", "),
            percent(many),
            past / count as f64 * 100.0,
            percent(over),
        );
    }
    true
}

/// The peak resident memory of this process, in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0);
    kibibytes / 1_024.0
}

/// The figures of one strategy, as a row of the table.
type Row = [String; 9];

fn strategies(seconds: u64) -> bool {
    let head = ["", "calls", "/ least", "at once", "slow", "past TTL", "age", "p50 ms", "p99.9 ms"];
    let stories: [(&str, Scenario); 4] = [
        ("a hot key: 60 requests/s, TTL 10 s, origin 1 s", Scenario::default()),
        ("a rare key: 0.5 requests/s", Scenario { rate: 0.5, ..Scenario::default() }),
        (
            "1,000 keys by Zipf's law: 200 requests/s over 10 colos",
            Scenario { keys: 1_000, rate: 200.0, colos: 10, ..Scenario::default() },
        ),
        (
            "an outage of 20 s in the middle",
            Scenario {
                outage: Some(sim::Outage {
                    from: Span(seconds * 500 - 10_000),
                    until: Span(seconds * 500 + 10_000),
                }),
                ..Scenario::default()
            },
        ),
    ];
    for (story, scenario) in stories {
        println!("\n{story}");
        print_row(&head.map(str::to_owned));
        for strategy in Strategy::ALL {
            let duration = Span(seconds * 1_000);
            match sim::run(Scenario { strategy, duration, ..scenario.clone() }) {
                Ok(figures) => print_row(&row(strategy, &figures)),
                Err(broken) => {
                    println!("{}: {broken}", strategy.as_str());
                    return false;
                }
            }
        }
    }
    true
}

fn row(strategy: Strategy, figures: &sim::Report) -> Row {
    [
        strategy.as_str().to_owned(),
        figures.calls.to_string(),
        format!("{:.2}", figures.calls as f64 / figures.least_calls.max(1) as f64),
        figures.most_in_flight.to_string(),
        figures.slow.to_string(),
        format!("{:.2} %", 100.0 * figures.past_ttl_share()),
        format!("{:.1} s", figures.mean_age()),
        format!("{:.0}", figures.quantile(0.5)),
        format!("{:.0}", figures.quantile(0.999)),
    ]
}

fn print_row(cells: &Row) {
    let [name, rest @ ..] = cells;
    println!("  {name:<24}{}", rest.each_ref().map(|cell| format!("{cell:>10}")).concat());
}
