//! Password hashing on blocking threads, two at a time, since each hash takes 19 MiB. The hasher is created at first
//! use to keep the start fast.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crypto::keyring::Keyring;
use crypto::password::{PasswordError, Passwords, Verdict};

/// Maximum number of concurrent hashes.
const AT_ONCE: usize = 2;

/// Hashes and checks passwords.
pub struct Hasher {
    ring: Arc<Keyring>,
    /// Hasher for the master key that was current when it was created.
    made: Mutex<Option<Arc<Passwords>>>,
    permits: Arc<Semaphore>,
}

impl Hasher {
    /// Creates a hasher that uses the peppers of this key ring.
    #[must_use]
    pub fn new(ring: Arc<Keyring>) -> Self {
        Self { ring, made: Mutex::new(None), permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    fn passwords(&self) -> Result<Arc<Passwords>, PasswordError> {
        if let Some(made) = self.made.lock().as_ref().filter(|made| made.is_of(&self.ring)) {
            return Ok(Arc::clone(made));
        }
        let made = Arc::new(Passwords::new(&self.ring)?);
        *self.made.lock() = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Returns the password hash to store.
    pub async fn hash(
        self: &Arc<Self>,
        password: Zeroizing<String>,
    ) -> Result<String, PasswordError> {
        self.off_thread(move |this| this.passwords()?.hash(&password)).await
    }

    /// Checks a password against a stored hash. Without a stored hash, takes the same time and fails.
    pub async fn verify(
        self: &Arc<Self>,
        stored: Option<String>,
        password: Zeroizing<String>,
    ) -> Result<Verdict, PasswordError> {
        self.off_thread(move |this| {
            this.passwords()?.verify(&this.ring, stored.as_deref(), &password)
        })
        .await
    }

    async fn off_thread<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let this = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&this);
            drop(permit);
            result
        });
        done.await.unwrap_or(Err(PasswordError::NoMemory))
    }
}
