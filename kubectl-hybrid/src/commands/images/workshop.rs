//! Docker as far as a command needs it: found once, asked and logged in only when it has work.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::OnceCell;

use super::plan::{BuildPlan, ImagePlan, Made};
use crate::commands::session::Session;
use crate::docker::command::OnLine;
use crate::docker::{
    self, BuildError, BuildRequest, Builder, Docker, Engine, EngineError, Login, OnPushNews,
    PushError, PushNews, Pushed, Surroundings, image,
};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::Project;
use crate::registry::ImageReference;
use crate::ui::Line;

use super::credentials;
use super::nodes::Nodes;

/// Docker, with a login for the project's registry.
pub(in crate::commands) struct Workshop<'a> {
    session: &'a Session<'a>,
    project: &'a Project,
    jobs: usize,
    docker: OnceLock<Docker>,
    engine: OnceCell<Engine>,
    builder: OnceCell<Builder>,
    token_was_refused: Cell<bool>,
}

impl<'a> Workshop<'a> {
    /// A workshop that is still closed: nothing is looked for yet.
    pub(in crate::commands) fn new(
        session: &'a Session<'a>,
        project: &'a Project,
        jobs: usize,
    ) -> Self {
        Self {
            session,
            project,
            jobs,
            docker: OnceLock::new(),
            engine: OnceCell::new(),
            builder: OnceCell::new(),
            token_was_refused: Cell::new(false),
        }
    }

    /// Whether the registry has refused the token that was kept. Whoever else holds it is refused, too.
    pub(in crate::commands) fn token_was_refused(&self) -> bool {
        self.token_was_refused.get()
    }

    /// The Docker client, logged in.
    pub(in crate::commands) fn docker(&self) -> Result<&Docker, CommandError> {
        if let Some(docker) = self.docker.get() {
            return Ok(docker);
        }
        let own = std::env::current_exe()
            .map_err(|error| CommandError::from_error(Exit::Unexpected, &error))?;
        let surroundings = Surroundings::of_process();
        let registry = self.project.registry.host().to_owned();
        let login = Login::prepare(&surroundings, &own, &[registry]).map_err(|error| {
            CommandError::from_error(Exit::BuildOrPush, &error).maybe_hint(error.hint())
        })?;
        let docker = Docker::locate(&Arc::new(surroundings))
            .map_err(|error| engine_error(&error))?
            .with_login(Arc::new(login));
        Ok(self.docker.get_or_init(|| docker))
    }

    /// The engine that answers.
    pub(in crate::commands) async fn engine(&self) -> Result<&Engine, CommandError> {
        let ask = async || {
            let engine = self.docker()?.engine().await;
            engine.map_err(|error| engine_error(&error))
        };
        self.engine.get_or_try_init(ask).await
    }

    async fn builder(&self) -> Result<&Builder, CommandError> {
        let open = async || {
            let docker = self.docker()?.clone();
            Builder::new(docker, &self.logs(), self.jobs)
                .await
                .map_err(|error| CommandError::from_error(Exit::BuildOrPush, &error))
        };
        self.builder.get_or_try_init(open).await
    }

    /// Opens the workshop for what is planned. A missing engine is better said once, before anything
    /// is changed, than by each build.
    pub(in crate::commands) async fn open<'p>(
        &self,
        mut plans: impl Iterator<Item = &'p ImagePlan>,
    ) -> Result<(), CommandError> {
        if plans.any(|plan| plan.made.is_some()) {
            tokio::try_join!(self.engine(), self.builder())?;
        }
        Ok(())
    }

    /// Where the output of builds, pushes and hooks goes.
    pub(in crate::commands) fn logs(&self) -> PathBuf {
        log_folder().join(&self.project.name)
    }

    /// Makes the image in the engine: builds it, or gives the one that is there its name.
    pub(in crate::commands) async fn make(
        &self,
        plan: &ImagePlan,
        made: &Made,
        extra: &[String],
        line: &Line,
    ) -> Result<(), CommandError> {
        match made {
            Made::Named(name) => docker::push::tag(self.docker()?, name, &plan.reference)
                .await
                .map_err(|error| CommandError::from_error(Exit::BuildOrPush, &error)),
            Made::Built(build) => self.build(plan, build, extra, line).await,
        }
    }

    async fn build(
        &self,
        plan: &ImagePlan,
        build: &BuildPlan,
        extra: &[String],
        line: &Line,
    ) -> Result<(), CommandError> {
        let ui = self.session.ui;
        let builder = self.builder().await?;
        let mut request = BuildRequest::new(&plan.name, build.source.clone());
        request.content = Some(build.content.clone());
        request.tags = vec![plan.reference.clone()];
        request.folder = Some(self.session.config.root.clone());
        request.secrets.clone_from(&build.with.secrets);
        request.ssh.clone_from(&build.with.ssh);
        request.cache_from.clone_from(&build.with.cache_from);
        request.cache_to.clone_from(&build.with.cache_to);
        request.extra = extra.to_vec();
        let context = &build.source.context;
        line.now("waits for its turn to build");
        let show: OnLine = Arc::new(line.follow("builds"));
        // The build does not wait until the engine has said who it is. Without one it has not begun,
        // and nobody is told that it has.
        let begun = async {
            self.engine().await?;
            ui.step("build", format!("{} from {}", plan.name, context.display()));
            Ok(())
        };
        let making = async {
            match builder.build(&request, Some(show)).await {
                Ok(image) => Ok(image),
                Err(error) => {
                    Err(credentials::explained(build_error(&error), error.failure()).await)
                }
            }
        };
        let ((), image) = tokio::try_join!(begun, making)?;
        if let Some(registry) = &image.refused_by {
            self.token_was_refused.set(true);
            ui.warn(refused_token(registry, "built", &plan.name));
        }
        ui.step(
            "built",
            format!(
                "{} in {:.1}s, log {}",
                plan.name,
                image.elapsed.as_secs_f64(),
                image.log.display()
            ),
        );
        Ok(())
    }

    /// Refuses an image that the nodes cannot run. A Dockerfile may name a platform of its own: what
    /// came out is what counts.
    pub(in crate::commands) async fn check(
        &self,
        plan: &ImagePlan,
        nodes: &Nodes,
    ) -> Result<(), CommandError> {
        // Those that others made were compared before they got into the plan.
        if !plan.builds {
            return Ok(());
        }
        let service = self.project.services.iter().find(|it| it.name == plan.name);
        let image = image::find(self.docker()?, &plan.reference).await;
        match (service, image) {
            (Some(service), Ok(Some(image))) => nodes.check(service, &[image.platform]),
            // A builder of its own may keep the image to itself; the push tells.
            _ => Ok(()),
        }
    }

    /// Pushes the image, and learns its digest. Meanwhile it is compared with the nodes.
    pub(in crate::commands) async fn push(
        &self,
        plan: &ImagePlan,
        nodes: &Nodes,
        line: &Line,
    ) -> Result<Pushed, CommandError> {
        let ((), pushed) = tokio::try_join!(self.check(plan, nodes), self.push_it(plan, line))?;
        Ok(pushed)
    }

    async fn push_it(&self, plan: &ImagePlan, line: &Line) -> Result<Pushed, CommandError> {
        let log = self.builder().await?.log_of(&format!("{}-push", plan.name));
        line.now("pushes");
        let image: &ImageReference = &plan.reference;
        let tell = self.tell(plan, line);
        let pushed = match docker::push(self.docker()?, image, Some(&log), Some(tell)).await {
            Ok(pushed) => pushed,
            Err(error) => {
                return Err(credentials::explained(push_error(&error), error.failure()).await);
            }
        };
        if pushed.token_was_refused {
            self.token_was_refused.set(true);
        }
        self.session.ui.step(
            "pushed",
            format!(
                "{} {} in {:.1}s",
                plan.name,
                pushed.digest.short(),
                pushed.elapsed.as_secs_f64()
            ),
        );
        Ok(pushed)
    }

    /// Shows what a push does, and says why it takes longer than it should.
    fn tell(&self, plan: &ImagePlan, line: &Line) -> OnPushNews {
        let (ui, name) = (self.session.ui.clone(), plan.name.clone());
        let registry = plan.reference.registry().to_owned();
        let follow = line.follow("pushes");
        Arc::new(move |news| match news {
            PushNews::Line(output) => follow(output),
            PushNews::EngineWaits(pause) => ui.warn(format!(
                "{registry} did not take a layer of `{name}`; Docker tries again in {} s",
                pause.as_secs()
            )),
            // What passes within a second is none of a reader's business.
            PushNews::Waits(pause) if pause < Duration::from_secs(1) => {}
            PushNews::Waits(pause) => ui.warn(format!(
                "{registry} did not take `{name}`; the push begins again in {} s",
                pause.as_secs()
            )),
            PushNews::TokenRefused => ui.warn(refused_token(&registry, "pushed", &name)),
        })
    }
}

fn refused_token(registry: &str, done: &str, service: &str) -> String {
    format!("{registry} did not take the token while `{service}` was {done}; a new one is minted")
}

/// Where this program writes logs.
pub(in crate::commands) fn log_folder() -> PathBuf {
    std::env::var_os("HYBRID_LOG_DIR").map_or_else(
        || {
            directories::ProjectDirs::from("", "", "kubectl-hybrid").map_or_else(
                || std::env::temp_dir().join("kubectl-hybrid"),
                |dirs| dirs.cache_dir().join("logs"),
            )
        },
        PathBuf::from,
    )
}

fn engine_error(error: &EngineError) -> CommandError {
    CommandError::from_error(Exit::BuildOrPush, error).maybe_hint(error.hint())
}

fn build_error(error: &BuildError) -> CommandError {
    let failed = CommandError::from_error(Exit::BuildOrPush, error).maybe_hint(error.hint());
    match error.failure() {
        Some(failure) => failed.excerpt(&failure.tail),
        None => failed,
    }
}

fn push_error(error: &PushError) -> CommandError {
    CommandError::from_error(Exit::BuildOrPush, error).maybe_hint(error.hint())
}
