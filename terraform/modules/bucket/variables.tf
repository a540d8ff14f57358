variable "name" {
  description = "The bucket's name, globally unique."
  type        = string
}
