# The hybrid: the registry in AWS belongs to the environment and is shared, what runs on the local
# cluster belongs to the workspace.

locals {
  # A personal workspace such as dev-laptop1 uses the registry that workspace dev owns.
  owns_registry = terraform.workspace == var.environment
  namespace     = "${var.project}-${terraform.workspace}"
}

module "kubernetes" {
  source = "./modules/kubernetes"

  namespace       = local.namespace
  service_type    = var.service_type
  service_account = var.service_account
  pull_secret     = var.pull_secret

  labels = {
    "app.kubernetes.io/part-of" = var.project
    "hybrid/environment"        = var.environment
    "hybrid/workspace"          = terraform.workspace
  }

  services = {
    for name, service in var.services : name => merge(service, {
      # The moving tag of the workspace: nothing is behind it until the first deploy, afterwards it
      # is what was deployed last, so that a Deployment that is made anew starts with that.
      image = "${local.repositories[name].url}:${terraform.workspace}"
    })
  }
}
