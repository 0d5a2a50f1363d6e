//! Following a kind of object: one list, then what changes. Nothing is asked for in between.

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::time::Duration;

use futures::stream::StreamExt as _;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep};

use super::{Cluster, ClusterError, PAGE};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The server ends a watch after this many seconds; the next one begins where it ended.
const WATCH_SECONDS: u32 = 290;

/// What happened.
#[derive(Debug)]
pub enum Change<K> {
    /// A list begins: what it does not hold is gone.
    Listing,
    /// An object is there, or was changed.
    Seen(K),
    /// The list is complete.
    Listed,
    /// An object is gone.
    Gone(K),
    /// The server cannot be asked at present. It is tried again, with growing pauses.
    Trouble(ClusterError),
    /// It answers again.
    Well,
}

/// Which objects are followed.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// A label query.
    pub labels: Option<String>,
    /// A field query.
    pub fields: Option<String>,
}

/// Tells every change until nobody listens. `what` names the objects in errors.
///
/// Survives a server that restarts, a connection that dies while the machine sleeps (the client's
/// read time-out ends it: the server says something at least once a minute), and a history that
/// the server no longer has.
pub async fn follow<K, T>(
    cluster: &Cluster,
    api: Api<K>,
    what: &str,
    query: &Query,
    tell: Sender<T>,
    map: impl Fn(Change<K>) -> T,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut followed = Followed {
        cluster,
        api,
        action: format!("watch the {what}"),
        query,
        tell,
        map,
        pause: FIRST_PAUSE,
        in_trouble: false,
    };
    while let ControlFlow::Continue(()) = followed.list_and_watch().await {}
}

struct Followed<'a, K, T, M> {
    cluster: &'a Cluster,
    api: Api<K>,
    action: String,
    query: &'a Query,
    tell: Sender<T>,
    map: M,
    pause: Duration,
    in_trouble: bool,
}

/// Whether anybody listens still.
type Heard<T = ()> = ControlFlow<(), T>;

impl<K, T, M> Followed<'_, K, T, M>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    M: Fn(Change<K>) -> T,
{
    async fn say(&self, change: Change<K>) -> Heard {
        match self.tell.send((self.map)(change)).await {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    /// Says what is wrong, once, and waits before the next try.
    async fn trouble(&mut self, error: &kube::Error) -> Heard {
        if !self.in_trouble {
            self.in_trouble = true;
            let told = self.cluster.explain(self.action.as_str(), error);
            self.say(Change::Trouble(told)).await?;
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        ControlFlow::Continue(())
    }

    async fn well(&mut self) -> Heard {
        self.pause = FIRST_PAUSE;
        if self.in_trouble {
            self.in_trouble = false;
            self.say(Change::Well).await?;
        }
        ControlFlow::Continue(())
    }

    async fn list_and_watch(&mut self) -> Heard {
        let Some(mut version) = self.list().await? else {
            return ControlFlow::Continue(());
        };
        let params = WatchParams {
            label_selector: self.query.labels.clone(),
            field_selector: self.query.fields.clone(),
            timeout: Some(WATCH_SECONDS),
            bookmarks: true,
            send_initial_events: false,
        };
        let mut failures = 0;
        // A version that the server has trouble with is given up after a while.
        while failures < 5 {
            let begun = Instant::now();
            let mut stream = match self.api.watch(&params, &version).await {
                Ok(stream) => Box::pin(stream),
                Err(kube::Error::Api(status)) if status.code == 410 => {
                    return ControlFlow::Continue(());
                }
                Err(error) => {
                    failures += 1;
                    self.trouble(&error).await?;
                    continue;
                }
            };
            let mut ended_badly = None;
            while let Some(event) = stream.next().await {
                match event {
                    Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                        version = object.resource_version().unwrap_or(version);
                        failures = 0;
                        self.well().await?;
                        self.say(Change::Seen(object)).await?;
                    }
                    Ok(WatchEvent::Deleted(object)) => {
                        version = object.resource_version().unwrap_or(version);
                        self.well().await?;
                        self.say(Change::Gone(object)).await?;
                    }
                    Ok(WatchEvent::Bookmark(bookmark)) => {
                        version = bookmark.metadata.resource_version;
                        failures = 0;
                        self.well().await?;
                    }
                    Ok(WatchEvent::Error(status)) | Err(kube::Error::Api(status))
                        if status.code == 410 =>
                    {
                        return ControlFlow::Continue(());
                    }
                    Ok(WatchEvent::Error(status)) => {
                        ended_badly = Some(kube::Error::Api(status));
                        break;
                    }
                    Err(error) => {
                        ended_badly = Some(error);
                        break;
                    }
                }
            }
            match ended_badly {
                // A long silence is how a connection ends that died in the machine's sleep.
                Some(error) if begun.elapsed() < LONGEST_PAUSE => {
                    failures += 1;
                    self.trouble(&error).await?;
                }
                // A server that ends each watch at once must not keep us busy.
                None if begun.elapsed() < FIRST_PAUSE => sleep(FIRST_PAUSE).await,
                _ => self.well().await?,
            }
        }
        ControlFlow::Continue(())
    }

    /// One list, page by page. Gives the version that it stands for, unless it failed.
    async fn list(&mut self) -> Heard<Option<String>> {
        let mut params = ListParams::default().limit(PAGE);
        params.label_selector.clone_from(&self.query.labels);
        params.field_selector.clone_from(&self.query.fields);
        let mut begun = false;
        loop {
            let page = match self.api.list(&params).await {
                Ok(page) => page,
                Err(error) => {
                    self.trouble(&error).await?;
                    return ControlFlow::Continue(None);
                }
            };
            self.well().await?;
            if !begun {
                begun = true;
                self.say(Change::Listing).await?;
            }
            for object in page.items {
                self.say(Change::Seen(object)).await?;
            }
            let next = page.metadata.continue_.filter(|token| !token.is_empty());
            let Some(token) = next else {
                self.say(Change::Listed).await?;
                let version = page.metadata.resource_version.unwrap_or_default();
                return ControlFlow::Continue(Some(version));
            };
            params = params.continue_token(&token);
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Namespace;
    use serde_json::json;
    use tokio::sync::mpsc;

    use super::*;
    use crate::cluster::fake;

    fn told(change: Change<Namespace>) -> String {
        match change {
            Change::Listing => "listing".to_owned(),
            Change::Seen(seen) => format!("seen {}", seen.name_any()),
            Change::Listed => "listed".to_owned(),
            Change::Gone(gone) => format!("gone {}", gone.name_any()),
            Change::Trouble(_) => "trouble".to_owned(),
            Change::Well => "well".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_and_a_forgotten_history_are_survived() {
        let mut step = 0;
        let cluster = fake::cluster(move |request| {
            step += 1;
            let event = |kind: &str, name: &str, version: &str| {
                json!({ "type": kind, "object": { "apiVersion": "v1", "kind": "Namespace",
                    "metadata": { "name": name, "resourceVersion": version } } })
            };
            let is_watch = request.query.contains("watch=true");
            match step {
                1 => fake::status(503, "ServiceUnavailable", "starting"),
                2 => {
                    assert!(!is_watch);
                    fake::ok(json!({ "metadata": { "resourceVersion": "5" },
                        "items": [{ "metadata": { "name": "a" } }] }))
                }
                3 => {
                    assert!(is_watch && request.query.contains("resourceVersion=5"));
                    fake::text(&format!("{}\n", event("ADDED", "b", "6")))
                }
                4 => {
                    assert!(
                        request.query.contains("resourceVersion=6"),
                        "{}",
                        request.query
                    );
                    fake::status(503, "ServiceUnavailable", "restarting")
                }
                5 => {
                    assert!(request.query.contains("resourceVersion=6"));
                    fake::text(&format!("{}\n", event("DELETED", "b", "7")))
                }
                6 => fake::status(410, "Expired", "too old resource version"),
                7 => {
                    assert!(!is_watch);
                    fake::ok(json!({ "metadata": { "resourceVersion": "9" }, "items": [] }))
                }
                _ => fake::status(503, "ServiceUnavailable", "nobody listens"),
            }
        });
        let (tell, mut heard) = mpsc::channel(1);
        let query = Query::default();
        let following = follow(
            &cluster,
            Api::<Namespace>::all(cluster.client()),
            "namespaces",
            &query,
            tell,
            told,
        );
        let hearing = async {
            let mut all = Vec::new();
            while all.iter().filter(|told| *told == "listed").count() < 2 {
                all.push(heard.recv().await.unwrap());
            }
            drop(heard);
            all
        };
        let ((), all) = tokio::join!(following, hearing);
        assert_eq!(
            all,
            [
                "trouble", "well", "listing", "seen a", "listed", "seen b", "trouble", "well",
                "gone b", "listing", "listed"
            ]
        );
    }
}
