//! A future that runs to its end, also where whoever waits for it stops waiting.

use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::runtime::Handle;

/// Polled by its caller, which saves the way to another task and back for each request. If the caller drops it before its end, a task of its
/// own takes it on.
pub(super) struct Detached<F>(Option<Pin<Box<F>>>)
where
    F: Future<Output: Send> + Send + 'static;

impl<F: Future<Output: Send> + Send + 'static> Detached<F> {
    pub(super) fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for Detached<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out meanwhile: one that panics is not polled again.
        let Some(mut future) = self.0.take() else { return Poll::Pending };
        let polled = future.as_mut().poll(context);
        if polled.is_pending() {
            self.0 = Some(future);
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Detached<F> {
    fn drop(&mut self) {
        // There is no runtime any more only where the process ends.
        if let (Some(rest), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_finished() {
        let (begun, has_begun) = oneshot::channel();
        let (go_on, may_go_on) = oneshot::channel::<()>();
        let (ended, has_ended) = oneshot::channel();
        let work = Detached::new(async {
            begun.send(()).unwrap();
            may_go_on.await.unwrap();
            ended.send(()).unwrap();
        });
        tokio::select! {
            biased;
            () = work => panic!("it cannot have ended"),
            begun = has_begun => begun.unwrap(),
        }
        go_on.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(10), has_ended).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn its_caller_gets_what_comes_of_it() {
        assert_eq!(Detached::new(async { 7 }).await, 7);
    }
}
