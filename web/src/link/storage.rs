//! Storage between visits: records in IndexedDB, each replaced whole or not at all.

use idb::{Database, DatabaseEvent, Error, Factory, ObjectStoreParams, TransactionMode};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};

const DATABASE: &str = "nitp";
const STORE: &str = "sessions";

/// The record of the newest runs.
pub const RUNS: &str = "newest";

/// The record of the adapter's measurements.
pub const TUNING: &str = "tuning";

async fn open() -> Result<Database, Error> {
    let mut request = Factory::new()?.open(DATABASE, Some(1))?;
    request.on_upgrade_needed(|event| {
        if let Ok(database) = event.database() {
            // It fails only if the store already exists.
            let _ = database.create_object_store(STORE, ObjectStoreParams::new());
        }
    });
    request.await
}

/// Loads the data with this key, if any.
///
/// # Errors
/// Errors of the browser, e.g. in a private window.
pub async fn load(key: &str) -> Result<Option<Vec<u8>>, Error> {
    let database = open().await?;
    let transaction = database.transaction(&[STORE], TransactionMode::ReadOnly)?;
    let found = transaction.object_store(STORE)?.get(JsValue::from_str(key))?.await?;
    Ok(found.and_then(|it| it.dyn_into::<Uint8Array>().ok()).map(|bytes| bytes.to_vec()))
}

/// Saves data with this key; empty data delete the record.
///
/// # Errors
/// Errors of the browser, such as a full disk. The old record is unchanged then.
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
