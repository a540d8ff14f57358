variable "name" {
  description = "The bucket's name, unique in the world."
  type        = string
}
