//! The state of a Durable Object: its SQLite and its alarm.

use js_sys::{Array, ArrayBuffer, Promise, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    /// The state of an object, as its constructor gets it.
    pub type ObjectState;

    #[wasm_bindgen(method, getter)]
    fn storage(this: &ObjectState) -> Storage;

    type Storage;

    #[wasm_bindgen(method, getter)]
    fn sql(this: &Storage) -> Sql;

    #[wasm_bindgen(method, catch, js_name = setAlarm)]
    fn set_alarm(this: &Storage, at: f64) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = deleteAll)]
    fn delete_all(this: &Storage) -> Result<Promise, JsValue>;

    type Sql;

    #[wasm_bindgen(method, catch, variadic)]
    fn exec(this: &Sql, query: &str, bindings: &Array) -> Result<Cursor, JsValue>;

    type Cursor;

    #[wasm_bindgen(method, catch)]
    fn raw(this: &Cursor) -> Result<Rows, JsValue>;

    type Rows;

    #[wasm_bindgen(method, catch, js_name = toArray)]
    fn to_array(this: &Rows) -> Result<Array, JsValue>;
}

impl ObjectState {
    /// Runs statements, and ignores the rows that they return.
    pub(crate) fn run(&self, query: &str, bindings: &[JsValue]) -> Result<(), JsValue> {
        self.query(query, bindings).map(drop)
    }

    /// Runs a statement, and returns the first column of its first row, if that is a blob.
    pub(crate) fn first_bytes(&self, query: &str, bindings: &[JsValue]) -> Result<Option<Vec<u8>>, JsValue> {
        let rows = self.query(query, bindings)?.raw()?.to_array()?;
        let value = rows.get(0).dyn_into::<Array>().map_or(JsValue::UNDEFINED, |row| row.get(0));
        Ok(value.is_instance_of::<ArrayBuffer>().then(|| Uint8Array::new(&value).to_vec()))
    }

    /// Sets the one alarm, to an instant in milliseconds.
    pub(crate) fn set_alarm(&self, at: f64) -> Result<JsFuture, JsValue> {
        self.storage().set_alarm(at).map(JsFuture::from)
    }

    /// Deletes everything that the object has stored.
    pub(crate) fn delete_all(&self) -> Result<JsFuture, JsValue> {
        self.storage().delete_all().map(JsFuture::from)
    }

    fn query(&self, query: &str, bindings: &[JsValue]) -> Result<Cursor, JsValue> {
        let values = Array::new();
        for value in bindings {
            values.push(value);
        }
        self.storage().sql().exec(query, &values)
    }
}
