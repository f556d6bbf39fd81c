//! Who asks, as this isolate has verified it a short while ago, so that a repeated credential needs no signature, no
//! digest and no question.
//!
//! Nothing here holds a credential: a client is known by a keyed hash of what it presents, whose key no other isolate
//! has. A table with one client per slot: a new one replaces the previous one.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::core::{access::Identity, time::Instant};

/// The greatest number of remembered clients.
const SLOTS: usize = 4_096;

/// The keyed hash of what a client presents to a route.
pub type ClientHash = u128;

/// Clients that were verified.
#[derive(Debug, Default)]
pub struct Identities {
    key: Option<[u8; 16]>,
    slots: Vec<Option<Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    client: ClientHash,
    identity: Identity,
    until: Instant,
}

impl Identities {
    /// Sets the key of the hashes. Without one, nobody is remembered: a hash whose key is known could be met by
    /// another client.
    pub fn set_key(&mut self, key: Option<[u8; 16]>) {
        self.key = key;
    }

    /// Whether there is a key.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The hash of what a client presents to the route of this path: values, in the order of the route's fields.
    #[must_use]
    pub fn hash<'a>(&self, route: &str, presented: impl IntoIterator<Item = Option<&'a str>>) -> ClientHash {
        let mut hasher = SipHasher24::new_with_key(&self.key.unwrap_or_default());
        hasher.write_usize(route.len());
        hasher.write(route.as_bytes());
        for value in presented {
            // A missing value is none that a length and a text can form.
            hasher.write_u64(value.map_or(u64::MAX, |it| it.len() as u64));
            hasher.write(value.unwrap_or_default().as_bytes());
        }
        hasher.finish128().as_u128()
    }

    /// The identity of a client, if it is known at this instant.
    #[must_use]
    pub fn get(&self, client: ClientHash, now: Instant) -> Option<&Identity> {
        let known = self.slots.get(slot(client))?.as_ref()?;
        (known.client == client && now < known.until).then_some(&known.identity)
    }

    /// Remembers a client until this instant.
    pub fn put(&mut self, client: ClientHash, identity: Identity, until: Instant) {
        if self.key.is_none() {
            return;
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || None);
        }
        self.slots[slot(client)] = Some(Known { client, identity, until });
    }
}

fn slot(client: ClientHash) -> usize {
    client as usize % SLOTS
}
