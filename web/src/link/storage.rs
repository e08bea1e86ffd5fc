//! What is kept between visits: records in IndexedDB, each replaced whole or not at all.

use idb::{Database, DatabaseEvent, Error, Factory, ObjectStoreParams, TransactionMode};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};

const DATABASE: &str = "nitp";
const STORE: &str = "sessions";

/// The record of the newest runs.
pub const RUNS: &str = "newest";

/// The record of what was measured of the adapter.
pub const TUNING: &str = "tuning";

async fn open() -> Result<Database, Error> {
    let mut request = Factory::new()?.open(DATABASE, Some(1))?;
    request.on_upgrade_needed(|event| {
        if let Ok(database) = event.database() {
            // It fails only where there is one.
            let _ = database.create_object_store(STORE, ObjectStoreParams::new());
        }
    });
    request.await
}

/// What was kept under this key, if anything.
///
/// # Errors
/// What the browser says, e.g. in a private window.
pub async fn load(key: &str) -> Result<Option<Vec<u8>>, Error> {
    let database = open().await?;
    let transaction = database.transaction(&[STORE], TransactionMode::ReadOnly)?;
    let found = transaction.object_store(STORE)?.get(JsValue::from_str(key))?.await?;
    Ok(found.and_then(|it| it.dyn_into::<Uint8Array>().ok()).map(|bytes| bytes.to_vec()))
}

/// Keeps this under the key; nothing where it is empty.
///
/// # Errors
/// What the browser says, a full disk among it; what was kept before is intact then.
pub async fn save(key: &str, bytes: &[u8]) -> Result<(), Error> {
    let database = open().await?;
    let transaction = database.transaction(&[STORE], TransactionMode::ReadWrite)?;
    let store = transaction.object_store(STORE)?;
    let key = JsValue::from_str(key);
    if bytes.is_empty() {
        store.delete(key)?.await?;
    } else {
        store.put(&Uint8Array::from(bytes), Some(&key))?.await?;
    }
    transaction.commit()?.await?;
    Ok(())
}
