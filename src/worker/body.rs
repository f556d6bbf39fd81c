//! Reads untrusted bodies, up to a limit in bytes that does not depend on the announced length.

use js_sys::ArrayBuffer;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStream, ReadableStreamDefaultReader};

use super::helpers;

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// It has more bytes than allowed.
    TooLarge,
    /// The connection broke, or the encoding is damaged.
    Broken,
    /// It did not arrive in time.
    TooSlow,
}

/// All bytes of a request whose length is announced and allowed.
pub(super) async fn read_announced(
    buffer: Result<js_sys::Promise, JsValue>,
    most: usize,
) -> Result<Vec<u8>, BodyError> {
    let buffer =
        JsFuture::from(buffer.map_err(|_| BodyError::Broken)?).await.map_err(|_| BodyError::Broken)?;
    let buffer: ArrayBuffer = buffer.unchecked_into();
    let length = buffer.byte_length() as usize;
    bytes_within(&buffer, length, most)
}

/// Copies the first `length` bytes of a buffer, if `length` is at most `most`. A body may be longer than
/// announced, so its real length is checked before the copy.
pub(super) fn bytes_within(buffer: &ArrayBuffer, length: usize, most: usize) -> Result<Vec<u8>, BodyError> {
    if length > most { Err(BodyError::TooLarge) } else { Ok(helpers::bytes(buffer, length)) }
}

/// All bytes of a stream, at most `most`.
pub(super) async fn read(stream: Option<ReadableStream>, most: usize) -> Result<Vec<u8>, BodyError> {
    let Some(stream) = stream else {
        return Ok(Vec::new());
    };
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    let mut bytes = Vec::new();
    loop {
        let chunk = JsFuture::from(reader.read()).await.map_err(|_| BodyError::Broken)?;
        let field = |name: &str| js_sys::Reflect::get(&chunk, &JsValue::from_str(name));
        if field("done").is_ok_and(|done| done.is_truthy()) {
            return Ok(bytes);
        }
        let chunk: js_sys::Uint8Array =
            field("value").ok().and_then(|it| it.dyn_into().ok()).ok_or(BodyError::Broken)?;
        if bytes.len() + chunk.length() as usize > most {
            // The rest of the body is not needed.
            let _ = reader.cancel();
            return Err(BodyError::TooLarge);
        }
        let start = bytes.len();
        bytes.resize(start + chunk.length() as usize, 0);
        chunk.copy_to(&mut bytes[start..]);
    }
}
