variable "project" {
  description = "The project's name. Repositories, the namespace, and roles are named after it."
  type        = string

  # The longest name made of it is that of a role, PROJECT-ENVIRONMENT-pull, at most 64 characters.
  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$", var.project)) && !strcontains(var.project, "--")
    error_message = "The project needs 1 to 30 lower case letters, digits, and single hyphens, with a letter first: ECR and Kubernetes refuse anything else."
  }

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", terraform.workspace)) && length("${var.project}-${terraform.workspace}") <= 63
    error_message = "The workspace becomes a part of the namespace \"${var.project}-${terraform.workspace}\": lower case letters, digits, and hyphens, at most 63 characters in all."
  }
}

variable "environment" {
  description = "The environment that the registry belongs to, for example dev. The workspace has the same name, or begins with it: dev-laptop1 is a personal workspace of dev."
  type        = string

  validation {
    condition     = can(regex("^[a-z]([a-z0-9]{0,18}[a-z0-9])?$", var.environment)) && var.environment != "default"
    error_message = "The environment needs 1 to 20 lower case letters and digits, with a letter first, and cannot be \"default\"."
  }

  # The environment is never "default", so that this refuses the workspace of that name too.
  validation {
    condition     = terraform.workspace == var.environment || startswith(terraform.workspace, "${var.environment}-")
    error_message = "The workspace \"${terraform.workspace}\" does not belong to the environment \"${var.environment}\": it needs that name, or one that begins with \"${var.environment}-\". Either this is the wrong file of environments/, or the workspace is still to be made: terraform workspace new ${var.environment}"
  }
}

variable "region" {
  description = "The region of the registry."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2,4}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The region \"${var.region}\" is not one of AWS: they look like eu-central-1."
  }
}

variable "kube_context" {
  description = "The context of the local cluster. It has to be named, so that the current context of the day is never changed."
  type        = string

  validation {
    condition = contains(var.allowed_contexts, var.kube_context) || can(regex(
      "^(docker-desktop|docker-for-desktop|minikube(-.+)?|rancher-desktop|orbstack|microk8s|colima(-.+)?|kind-.+|k3d-.+)$",
      var.kube_context,
    ))
    error_message = "The context \"${var.kube_context}\" is not that of a local cluster (docker-desktop, minikube, rancher-desktop, orbstack, microk8s, colima, kind-*, k3d-*). If it is meant, name it in allowed_contexts."
  }
}

variable "allowed_contexts" {
  description = "Contexts that may be used although their names are not those of local clusters. kubectl hybrid reads them from the contract."
  type        = list(string)
  default     = []
}

variable "kubeconfig" {
  description = "The kubeconfig file that holds the context."
  type        = string
  default     = "~/.kube/config"
}

variable "services" {
  description = "The services by name. Without a port a service gets neither a Service nor probes. With non_root the container runs as run_as_user, a user and a group by their number, whatever the image says."
  type = map(object({
    port           = optional(number)
    node_port      = optional(number)
    replicas       = optional(number, 1)
    health_path    = optional(string, "/")
    tag_mutability = optional(string)
    env            = optional(map(string), {})
    secret_env     = optional(map(object({ secret = string, key = string })), {})
    cpu            = optional(string, "50m")
    memory         = optional(string, "128Mi")
    non_root       = optional(bool, false)
    run_as_user    = optional(number, 65534)
  }))

  validation {
    condition     = alltrue([for name in keys(var.services) : can(regex("^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", name)) && !strcontains(name, "--")])
    error_message = "A service's name needs 1 to 40 lower case letters, digits, and single hyphens, with a letter first: ECR and Kubernetes refuse anything else."
  }

  validation {
    condition = alltrue([
      for service in values(var.services) :
      service.port == null || try(service.port >= 1 && service.port <= 65535 && floor(service.port) == service.port, false)
    ])
    error_message = "A port is a whole number from 1 to 65535."
  }

  validation {
    condition = alltrue([
      for service in values(var.services) :
      service.node_port == null || try(service.port != null && service.node_port >= 30000 && service.node_port <= 32767, false)
    ])
    error_message = "A node_port is from 30000 to 32767, and only a service with a port has one."
  }

  validation {
    condition = (
      length([for service in values(var.services) : service.node_port if service.node_port != null]) ==
      length(distinct([for service in values(var.services) : service.node_port if service.node_port != null]))
    )
    error_message = "Two services cannot have the same node_port."
  }

  # On a laptop's cluster all load balancers share one address.
  validation {
    condition = var.service_type != "LoadBalancer" || (
      length([for service in values(var.services) : service.port if service.port != null]) ==
      length(distinct([for service in values(var.services) : service.port if service.port != null]))
    )
    error_message = "Two services cannot have the same port with the service_type LoadBalancer: on a local cluster they share one address."
  }

  validation {
    condition     = alltrue([for service in values(var.services) : service.replicas >= 0 && floor(service.replicas) == service.replicas])
    error_message = "The replicas are a whole number, 0 or more."
  }

  validation {
    condition     = alltrue([for service in values(var.services) : startswith(service.health_path, "/")])
    error_message = "A health_path begins with a slash."
  }

  validation {
    condition = alltrue(flatten([
      for service in values(var.services) :
      [for name in concat(keys(service.env), keys(service.secret_env)) : can(regex("^[A-Za-z_][A-Za-z0-9_.-]*$", name))]
    ]))
    error_message = "The name of an environment variable has letters, digits, and _ . - with no digit first."
  }

  validation {
    condition     = alltrue([for service in values(var.services) : length(setintersection(keys(service.env), keys(service.secret_env))) == 0])
    error_message = "A variable is in env or in secret_env, not in both."
  }

  validation {
    condition = alltrue(flatten([
      for service in values(var.services) :
      [for value in values(service.secret_env) : can(regex("^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", value.secret)) && can(regex("^[A-Za-z0-9._-]{1,253}$", value.key))]
    ]))
    error_message = "A secret_env names a Secret (lower case letters, digits, hyphens, and dots) and one of its keys (letters, digits, and . _ -)."
  }

  validation {
    condition = alltrue(flatten([
      for service in values(var.services) :
      [for quantity in [service.cpu, service.memory] : can(regex("^[0-9]+([.][0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$", quantity))]
    ]))
    error_message = "cpu and memory are quantities of Kubernetes, such as 50m and 128Mi."
  }

  validation {
    condition     = alltrue([for service in values(var.services) : contains(["MUTABLE", "IMMUTABLE"], coalesce(service.tag_mutability, "MUTABLE"))])
    error_message = "tag_mutability is MUTABLE or IMMUTABLE."
  }
}

variable "service_type" {
  description = "How the services are reached: NodePort or LoadBalancer."
  type        = string
  default     = "NodePort"

  validation {
    condition     = contains(["NodePort", "LoadBalancer"], var.service_type)
    error_message = "The service_type is NodePort or LoadBalancer."
  }
}

variable "service_account" {
  description = "The ServiceAccount of the pods. It is created unless it is \"default\", which every namespace has."
  type        = string
  default     = "default"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", var.service_account))
    error_message = "A ServiceAccount's name has lower case letters, digits, hyphens, and dots."
  }
}

variable "pull_secret" {
  description = "The name of the pull secret. Terraform makes the empty shell, kubectl hybrid fills it."
  type        = string
  default     = "regcred"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", var.pull_secret))
    error_message = "A Secret's name has lower case letters, digits, hyphens, and dots."
  }
}

variable "tag_mutability" {
  description = "Whether tags may be moved, unless a service says otherwise. MUTABLE allows the moving tag of the workspace, IMMUTABLE leaves unique tags alone."
  type        = string
  default     = "MUTABLE"

  validation {
    condition     = contains(["MUTABLE", "IMMUTABLE"], var.tag_mutability)
    error_message = "tag_mutability is MUTABLE or IMMUTABLE."
  }
}

variable "keep_images" {
  description = "How many images each repository keeps beside those that a moving tag points at."
  type        = number
  default     = 50

  validation {
    condition     = var.keep_images >= 1 && floor(var.keep_images) == var.keep_images
    error_message = "At least one image has to be kept, and a whole number of them."
  }
}

variable "kms_key_arn" {
  description = "A KMS key for the layers in ECR. Without one ECR encrypts with AES256."
  type        = string
  default     = null
}

variable "pull_role" {
  description = "Whether there is a role that may only pull. The cluster's token is then minted with it, and what leaks from the cluster cannot push."
  type        = bool
  default     = true
}

variable "pull_role_trust" {
  description = "The principals that may assume the pull role. Empty means every principal of the account whose own policy allows it."
  type        = list(string)
  default     = []
}

variable "state" {
  description = "What backend.hcl says about the state: the root cannot read its own backend. The bucket and the key are needed for the policies alone."
  type = object({
    lock        = optional(string, "both")
    lock_table  = optional(string, "hybrid-tflock")
    bucket      = optional(string)
    kms_key_arn = optional(string)
  })
  default = {}

  validation {
    condition     = contains(["dynamodb", "lockfile", "both", "none"], var.state.lock)
    error_message = "The lock is dynamodb, lockfile, both, or none."
  }
}
