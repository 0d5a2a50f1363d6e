variable "namespace" {
  description = "The namespace of the workspace."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "A namespace has 1 to 63 lower case letters, digits, and hyphens."
  }
}

variable "labels" {
  description = "Labels of every object."
  type        = map(string)
  default     = {}
}

variable "services" {
  description = "The services by name. The image is the one that a new Deployment starts with. Without a port there is neither a Service nor a probe. With non_root the container runs as run_as_user, a user and a group by their number, whatever the image says."
  type = map(object({
    image       = string
    port        = optional(number)
    node_port   = optional(number)
    replicas    = optional(number, 1)
    health_path = optional(string, "/")
    env         = optional(map(string), {})
    secret_env  = optional(map(object({ secret = string, key = string })), {})
    cpu         = optional(string, "50m")
    memory      = optional(string, "128Mi")
    non_root    = optional(bool, false)
    run_as_user = optional(number, 65534)
  }))

  validation {
    condition     = alltrue([for service in values(var.services) : service.run_as_user > 0 && floor(service.run_as_user) == service.run_as_user])
    error_message = "A run_as_user is a whole number above 0: 0 is root."
  }

  validation {
    condition     = alltrue([for name in keys(var.services) : can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", name))])
    error_message = "A service's name is that of a Service in Kubernetes: 1 to 63 lower case letters, digits, and hyphens, with a letter first."
  }
}

variable "service_type" {
  description = "NodePort or LoadBalancer."
  type        = string
  default     = "NodePort"

  validation {
    condition     = contains(["NodePort", "LoadBalancer"], var.service_type)
    error_message = "The service_type is NodePort or LoadBalancer."
  }
}

variable "service_account" {
  description = "The ServiceAccount of the pods. It is created unless it is \"default\"."
  type        = string
  default     = "default"
}

variable "pull_secret" {
  description = "The name of the pull secret."
  type        = string
  default     = "regcred"
}
