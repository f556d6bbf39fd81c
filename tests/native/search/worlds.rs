//! The worlds that are searched. Each prints its number of states (`npm test -- native` shows it), and names
//! two outcomes that must occur: the purpose of the world.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use stateright::{Checker, Model};
use xfetch_edge::isolate::step::ObjectError;

use super::model::{LEASE_TICK, Role, State, TICK, World};

/// A world in which nothing goes wrong.
const fn quiet(tick: u64, ticks: u64) -> World {
    World {
        roles: Vec::new(),
        is_warm: true,
        crashes: 0,
        losses: 0,
        loss: ObjectError::Broken,
        lates: 0,
        repeats: 0,
        failures: 0,
        tick,
        ticks,
        refuses: false,
        forbids_storing: false,
        is_short: false,
        is_colo_slow: false,
        is_together: false,
        tenants: 1,
        skews: &[],
        reaches: ["stored", "stored"],
    }
}

/// In fine ticks.
const QUIET: World = quiet(TICK, 3);
/// In coarse ticks, so that all orders of three requests can be searched.
const COARSE: World = quiet(LEASE_TICK, 2);

fn warm(count: usize) -> Vec<Role> {
    vec![Role::Warm; count]
}

fn cold(count: usize) -> World {
    let world = if count > 2 { COARSE } else { QUIET };
    World { roles: vec![Role::Cold; count], is_warm: false, reaches: ["computed", "collapsed"], ..world }
}

fn asks(count: usize) -> World {
    let world = if count > 2 { COARSE } else { QUIET };
    World { roles: vec![Role::Asks; count], is_short: true, ..world }
}

fn with(mut roles: Vec<Role>, role: Role) -> Vec<Role> {
    roles.push(role);
    roles
}

fn explore(name: &str, world: World) {
    let checker = world.checker().spawn_dfs().join();
    println!("{name}: {} states, none breaks a promise", checker.unique_state_count());
    checker.assert_properties();
}

/// A state at which a run closes a cycle, if there is one: the depth-first search then meets a state of its
/// own path.
fn goes_round(world: &World) -> Option<State> {
    let name = |state: &State| {
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        hasher.finish()
    };
    let begun = |state: State| {
        let mut actions = Vec::new();
        world.actions(&state, &mut actions);
        (state, actions)
    };
    let mut is_on_path = BTreeMap::new();
    for first in world.init_states() {
        is_on_path.insert(name(&first), true);
        let mut path = vec![begun(first)];
        while let Some((state, actions)) = path.last_mut() {
            let Some(action) = actions.pop() else {
                is_on_path.insert(name(state), false);
                path.pop();
                continue;
            };
            let Some(next) = world.next_state(state, action) else { continue };
            match is_on_path.get(&name(&next)) {
                Some(true) => return Some(next),
                Some(false) => {}
                None => {
                    is_on_path.insert(name(&next), true);
                    path.push(begun(next));
                }
            }
        }
    }
    println!("{} states, none on a cycle", is_on_path.len());
    None
}

#[test]
fn the_state_graph_has_no_cycle_so_each_run_ends() {
    let purge = Role::Purge { hard: true };
    for world in [
        World { crashes: 1, ..cold(2) },
        World { losses: 1, repeats: 1, ..cold(2) },
        World { failures: 2, refuses: true, forbids_storing: true, ..cold(2) },
        World { crashes: 1, losses: 1, failures: 1, ..asks(2) },
        World { roles: warm(2), crashes: 1, losses: 1, failures: 1, ..QUIET },
        World { roles: with(warm(1), purge), crashes: 1, losses: 1, ..QUIET },
        World { roles: with(vec![Role::Cold; 1], purge), lates: 1, is_colo_slow: true, ..cold(2) },
    ] {
        assert_eq!(goes_round(&world), None);
    }
}

#[test]
fn three_refreshes_with_a_crash_and_a_lost_message() {
    explore("warm x3, crash, loss", World { roles: warm(3), crashes: 1, losses: 1, ..COARSE });
}

#[test]
fn three_refreshes_with_a_repeated_message_and_a_failure() {
    explore("warm x3, repeat, failure", World { roles: warm(3), repeats: 1, failures: 1, ..COARSE });
}

#[test]
fn a_retry_after_a_lost_message_or_reply_is_harmless() {
    let loss = ObjectError::Retryable;
    explore("warm x2, retry", World { roles: warm(2), losses: 2, loss, ..QUIET });
    explore("cold x2, retry", World { losses: 1, loss, ..cold(2) });
}

#[test]
fn a_grant_that_comes_after_its_limit_is_given_back() {
    explore(
        "warm x2, late reply",
        World { roles: warm(2), lates: 1, reaches: ["stored", "uncommitted"], ..QUIET },
    );
    explore("cold x2, late reply", World { lates: 1, ..cold(2) });
}

#[test]
fn two_refreshes_against_each_kind_of_purge() {
    for hard in [false, true] {
        let roles = with(warm(2), Role::Purge { hard });
        explore("warm x2 + purge, crash, loss", World { roles, crashes: 1, losses: 1, ..COARSE });
    }
}

#[test]
fn a_late_grant_against_a_purge() {
    let roles = with(warm(1), Role::Purge { hard: true });
    let world = World { roles, lates: 1, crashes: 1, reaches: ["uncommitted", "purged"], ..QUIET };
    explore("warm + purge, late reply, crash", world);
}

#[test]
fn lookups_and_writes_in_a_slow_colo() {
    explore("warm x3, slow colo", World { roles: warm(3), is_colo_slow: true, ..COARSE });
    for hard in [false, true] {
        let roles = with(warm(2), Role::Purge { hard });
        explore("warm x2 + purge, slow colo", World { roles, is_colo_slow: true, ..COARSE });
    }
}

#[test]
fn three_cold_requests() {
    explore("cold x3", World { ticks: 1, ..cold(3) });
}

#[test]
fn three_cold_requests_of_which_two_share_an_isolate() {
    explore("cold x3, two together", World { is_together: true, ticks: 1, ..cold(3) });
}

#[test]
fn two_cold_requests_with_a_crash_and_a_loss() {
    explore("cold x2, crash, loss", World { crashes: 1, losses: 1, ..cold(2) });
    let together = World {
        is_together: true,
        roles: vec![Role::Purge { hard: false }, Role::Cold, Role::Cold],
        ..cold(2)
    };
    explore("cold x2 together + purge, crash", World { crashes: 1, ..together });
}

#[test]
fn two_cold_requests_with_a_loss_and_a_failure() {
    explore(
        "cold x2, loss, failure",
        World { losses: 1, failures: 1, reaches: ["computed", "failed"], ..cold(2) },
    );
}

#[test]
fn two_cold_requests_against_each_kind_of_purge() {
    for hard in [false, true] {
        let roles = with(vec![Role::Cold; 2], Role::Purge { hard });
        explore("cold x2 + purge, crash", World { crashes: 1, roles, ..World { is_warm: false, ..COARSE } });
    }
}

#[test]
fn three_requests_at_any_time_around_the_end_of_every_window() {
    let world = World { failures: 1, ticks: 3, reaches: ["fell back", "stored"], ..asks(3) };
    explore("asks x3, short windows, failure", world);
}

#[test]
fn requests_around_the_end_of_every_window_with_a_crash_and_a_loss() {
    let reaches = ["fell back", "stale"];
    let world = World { crashes: 1, losses: 1, failures: 1, reaches, ..asks(2) };
    explore("asks x2, short windows, crash, loss, failure", world);
}

#[test]
fn an_origin_that_refuses() {
    let reaches = ["negative", "computed"];
    explore("cold x2, refusals", World { failures: 2, refuses: true, reaches, ..cold(2) });
    let roles = with(warm(2), Role::Cold);
    let world = World { roles, failures: 2, refuses: true, reaches: ["failed", "backed_off"], ..COARSE };
    explore("warm x2 + cold, refusals", world);
}

#[test]
fn an_origin_that_forbids_storing() {
    let reaches = ["uncached", "computed"];
    explore("cold x2, uncached", World { failures: 2, forbids_storing: true, reaches, ..cold(2) });
    let world = World { failures: 2, forbids_storing: true, reaches: ["fell back", "uncached"], ..asks(2) };
    explore("asks x2, short windows, uncached", world);
}

#[test]
fn requests_without_a_reachable_object() {
    let roles = with(warm(2), Role::Cold);
    let world = World { roles, losses: 2, reaches: ["uncommitted", "stored"], ..COARSE };
    explore("warm x2 + cold, losses", world);
    explore("cold x2, losses", World { losses: 2, reaches: ["computed", "uncommitted"], ..cold(2) });
    let loss = ObjectError::Overloaded;
    explore("cold x2, overloaded", World { losses: 2, loss, ..cold(2) });
}

#[test]
fn requests_without_a_reachable_object_against_a_purge() {
    let roles = with(warm(2), Role::Purge { hard: true });
    let world = World { roles, losses: 2, reaches: ["uncommitted", "purged"], ..COARSE };
    explore("warm x2 + purge, losses", world);
}

#[test]
fn clocks_that_differ_by_seconds_and_by_an_hour() {
    for skews in [&[0, 1_500, -1_500][..], &[0, 3_600_000, -500][..]] {
        let world = World { skews, reaches: ["stored", "adopted"], ..asks(3) };
        explore("asks x3, short windows, skewed clocks", world);
        let roles = with(warm(2), Role::Purge { hard: false });
        let world = World { roles, crashes: 1, skews, reaches: ["stored", "adopted"], ..COARSE };
        explore("warm x2 + purge, crash, skewed clocks", world);
    }
}

#[test]
fn tenants_that_ask_the_same_at_the_same_time() {
    // The second and the third share an isolate, the first and the third a tenant.
    let together = World { is_together: true, tenants: 2, ..COARSE };
    let cold = World { ticks: 1, tenants: 2, is_together: true, ..cold(3) };
    explore("two tenants, cold x3, two together", cold);
    let warm_roles = warm(3);
    explore(
        "two tenants, warm x3, two together, loss",
        World { roles: warm_roles, losses: 1, ..together.clone() },
    );
    let roles = with(warm(2), Role::Purge { hard: true });
    let reaches = ["stored", "purged"];
    explore(
        "two tenants, warm x2 + purge, crash, loss",
        World { roles, crashes: 1, losses: 1, reaches, ..together },
    );
}
