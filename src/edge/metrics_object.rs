//! The Durable Object `Metrics`: one for all, it adds up what the isolates send.

#![allow(missing_docs, reason = "the macro exports undocumented methods of the class")]

use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use worker::{DurableObject, Env, SqlStorage, SqlStorageValue, State, durable_object};

use super::{
    flush::{Answer, FORMAT, Request},
    reply,
};
use crate::{
    frame,
    host::{self, Dice},
    metrics::Book,
};

/// The counters' object. Class name and binding are part of the deployment's contract.
#[durable_object(fetch)]
pub struct Metrics {
    state: State,
}

impl DurableObject for Metrics {
    fn new(state: State, _: Env) -> Self {
        Self { state }
    }

    async fn fetch(&self, request: worker::Request) -> worker::Result<worker::Response> {
        let buffer = JsFuture::from(request.inner().array_buffer()?).await?;
        let bytes = js_sys::Uint8Array::new(&buffer.unchecked_into::<js_sys::ArrayBuffer>()).to_vec();
        let Some((request, _)) = frame::split(FORMAT, &bytes) else {
            return Ok(reply::empty(400, &reply::headers(&[])).into());
        };
        let answer = self.answer(request)?;
        Ok(reply::with_bytes(200, &reply::headers(&[]), &frame::join(FORMAT, &answer, &[])).into())
    }
}

impl Metrics {
    fn answer(&self, request: Request) -> worker::Result<Answer> {
        let now = host::now();
        let sql = self.state.storage().sql();
        let mut book = load(&sql)?;
        match request {
            Request::Flush { batch, show } => {
                if let Some(batch) = batch {
                    book.take(&batch, now);
                    save(&sql, &book)?;
                }
                Ok(Answer::of(&book, show, now))
            }
            Request::Reset => {
                book.reset(new_epoch(), now);
                save(&sql, &book)?;
                Ok(Answer::of(&book, false, now))
            }
        }
    }
}

fn new_epoch() -> String {
    Dice::default().nonce().unwrap_or_else(|| host::now().0.to_string())
}

/// Loads the book; one that is missing or cannot be read begins a new epoch, and is saved at once, so
/// that everybody hears the same name.
fn load(sql: &SqlStorage) -> worker::Result<Book> {
    sql.exec(
        "CREATE TABLE IF NOT EXISTS book (id INTEGER PRIMARY KEY CHECK (id = 1), counts BLOB NOT NULL)",
        None,
    )?;
    let row = sql.exec("SELECT counts FROM book", None)?.raw().next().transpose()?;
    let known = row.and_then(|row| match row.into_iter().next() {
        Some(SqlStorageValue::Blob(bytes)) => frame::split(FORMAT, &bytes).map(|(book, _)| book),
        _ => None,
    });
    match known {
        Some(book) => Ok(book),
        None => {
            let book = Book::new(new_epoch(), host::now());
            save(sql, &book)?;
            Ok(book)
        }
    }
}

fn save(sql: &SqlStorage, book: &Book) -> worker::Result<()> {
    let counts = SqlStorageValue::Blob(frame::join(FORMAT, book, &[]));
    sql.exec("INSERT OR REPLACE INTO book (id, counts) VALUES (1, ?)", vec![counts])?;
    Ok(())
}
