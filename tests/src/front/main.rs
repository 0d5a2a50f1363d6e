//! `ecr-front`: stands before an AWS emulator and a registry, and makes ECR of them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use hybrid_tests::front::{Front, FrontError, Log, Settings, replay};

/// Stand before an AWS emulator and a registry, and make ECR of them
#[derive(Debug, Parser)]
#[command(
    name = "ecr-front",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    serve: Option<Serve>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Tell an emulator what a journal holds, unless it knows it already
    Replay {
        /// The journal, `journal.jsonl` in the state folder
        #[arg(long)]
        journal: PathBuf,
        /// The emulator's address
        #[arg(long, default_value = "http://127.0.0.1:14567")]
        moto: String,
    },
}

#[derive(Debug, Args)]
struct Serve {
    /// Address of the AWS APIs, plain HTTP
    #[arg(long, default_value = "127.0.0.1:14566")]
    api_listen: SocketAddr,
    /// Address of the registries, TLS
    #[arg(long, default_value = "127.0.0.9:443")]
    registry_listen: SocketAddr,
    /// The emulator's address
    #[arg(long, default_value = "http://127.0.0.1:14567")]
    moto: String,
    /// The registry's address
    #[arg(long, default_value = "http://127.0.0.1:15000")]
    registry: String,
    /// Certificate chain for the registries' host names, PEM
    #[arg(long)]
    tls_cert: PathBuf,
    /// Its key, PEM
    #[arg(long)]
    tls_key: PathBuf,
    /// Folder for the tokens and the journal
    #[arg(long)]
    state_dir: PathBuf,
    /// Tell an emulator that knows nothing what the journal holds
    #[arg(long)]
    replay: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("ecr-front: {sentence}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), String> {
    match (cli.verb, cli.serve) {
        (Some(Verb::Replay { journal, moto }), _) => {
            let told = replay(&journal, &moto)
                .await
                .map_err(|error| error.to_string())?;
            eprintln!("ecr-front: {told}");
            Ok(())
        }
        (None, Some(serve)) => self::serve(serve).await.map_err(|error| error.to_string()),
        (None, None) => Err("--tls-cert, --tls-key and --state-dir are needed".to_owned()),
    }
}

async fn serve(serve: Serve) -> Result<(), FrontError> {
    let settings = Settings {
        api: serve.api_listen,
        registry_listen: serve.registry_listen,
        moto: serve.moto,
        registry: serve.registry,
        tls_cert: serve.tls_cert,
        tls_key: serve.tls_key,
        state_dir: serve.state_dir,
        replay: serve.replay,
    };
    let log: Log = Arc::new(|line| eprintln!("{} {line}", jiff::Timestamp::now()));
    let front = Front::start(&settings, Arc::clone(&log)).await?;
    log(&format!(
        "AWS APIs on http://{}, registries on https://{}",
        front.api(),
        front.registry()
    ));
    until_stopped().await;
    log("stops");
    front.stop().await;
    Ok(())
}

/// Waits for Ctrl-C or, where there is one, SIGTERM.
async fn until_stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    // Without a handler there is nothing to wait for.
    let _ = tokio::signal::ctrl_c().await;
}
