// Command workflow-controller is Argo's workflow controller without the stock command's listeners: the
// stock command opens :6060 and the metrics port on all interfaces, and no option changes that.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // CronWorkflows name time zones

	argo "github.com/argoproj/argo-workflows/v3"
	wfclientset "github.com/argoproj/argo-workflows/v3/pkg/client/clientset/versioned"
	argocmd "github.com/argoproj/argo-workflows/v3/util/cmd"
	"github.com/argoproj/argo-workflows/v3/util/env"
	kubecli "github.com/argoproj/argo-workflows/v3/util/kube/cli"
	"github.com/argoproj/argo-workflows/v3/util/logs"
	"github.com/argoproj/argo-workflows/v3/workflow/common"
	"github.com/argoproj/argo-workflows/v3/workflow/controller"
	"github.com/argoproj/argo-workflows/v3/workflow/events"
	"github.com/argoproj/argo-workflows/v3/workflow/metrics"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

const name = "workflow-controller"

// options are the stock command's, with the same names, so that the chart's arguments work.
type options struct {
	configMap, image, pullPolicy       string
	logLevel, logFormat                string
	glogLevel                          int
	workflows, ttl, pods, crons, saved int
	burst                              int
	qps                                float32
	namespaced, plugins                bool
	managed                            string
	healthPort                         int // ours
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var o options
	c := &cobra.Command{Use: name, Short: "Argo's workflow-controller, on loopback", SilenceUsage: true}
	// Uses KUBECONFIG and ~/.kube/config, else the pod's service account; adds -n and other kubectl flags.
	client := kubecli.AddKubectlFlagsToCmd(c)
	declare(c.Flags(), &o)
	c.AddCommand(argocmd.NewVersionCmd(name))
	c.PreRunE = func(c *cobra.Command, _ []string) error { return fromEnvironment(c.LocalNonPersistentFlags()) }
	c.RunE = func(c *cobra.Command, _ []string) error { return run(c.Context(), client, o) }
	return c
}

func declare(f *pflag.FlagSet, o *options) {
	f.StringVar(&o.configMap, "configmap", common.ConfigMapName, "ConfigMap of the configuration")
	f.StringVar(&o.image, "executor-image", "", "image of the executor")
	f.StringVar(&o.pullPolicy, "executor-image-pull-policy", "", "its imagePullPolicy")
	f.StringVar(&o.logLevel, "loglevel", "info", "debug, info, warn or error")
	f.IntVar(&o.glogLevel, "gloglevel", 0, "log level of the Kubernetes client")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.IntVar(&o.workflows, "workflow-workers", 32, "workers for Workflows")
	f.IntVar(&o.ttl, "workflow-ttl-workers", 4, "workers that delete old Workflows")
	f.IntVar(&o.pods, "pod-cleanup-workers", 4, "workers that delete pods")
	f.IntVar(&o.crons, "cron-workflow-workers", 8, "workers for CronWorkflows")
	f.IntVar(&o.saved, "workflow-archive-workers", 8, "workers of the archive")
	f.IntVar(&o.burst, "burst", 30, "requests to the API at once")
	f.Float32Var(&o.qps, "qps", 20, "requests to the API per second")
	f.BoolVar(&o.namespaced, "namespaced", false, "look after one namespace only")
	f.StringVar(&o.managed, "managed-namespace", "", "that namespace, if it is not our own")
	f.BoolVar(&o.plugins, "executor-plugins", false, "allow executor plugins")
	f.IntVar(&o.healthPort, "loopback-health-port", 0, "serve /healthz on this port of 127.0.0.1; 0 serves nothing")
}

// fromEnvironment sets flags without an argument from ARGO_*, as the stock command does.
func fromEnvironment(f *pflag.FlagSet) (err error) {
	f.VisitAll(func(flag *pflag.Flag) {
		variable := "ARGO_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		if value := os.Getenv(variable); value != "" && !flag.Changed && err == nil {
			err = f.Set(flag.Name, value)
		}
	})
	return err
}

func run(ctx context.Context, client clientcmd.ClientConfig, o options) error {
	argocmd.SetLogLevel(o.logLevel)
	argocmd.SetGLogLevel(o.glogLevel)
	argocmd.SetLogFormatter(o.logFormat)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	config, namespace, err := access(ctx, client, o)
	if err != nil {
		return err
	}
	managed := ""
	if o.namespaced {
		managed = o.managed
		if managed == "" {
			managed = namespace
		}
	}
	api := kubernetes.NewForConfigOrDie(config)
	c, err := controller.NewWorkflowController(ctx, config, api, wfclientset.NewForConfigOrDie(config), namespace,
		managed, o.image, o.pullPolicy, o.logFormat, o.configMap, o.plugins)
	if err != nil {
		return err
	}
	if err := serveHealth(o.healthPort, c); err != nil {
		return err
	}
	work := func(ctx context.Context) { c.Run(ctx, o.workflows, o.ttl, o.pods, o.crons, o.saved) }
	if os.Getenv("LEADER_ELECTION_DISABLE") == "true" {
		work(ctx)
		return nil
	}
	return lead(ctx, cancel, api, namespace, c.Config.InstanceID, work)
}

func access(ctx context.Context, client clientcmd.ClientConfig, o options) (*rest.Config, string, error) {
	config, err := client.ClientConfig()
	if err != nil {
		return nil, "", err
	}
	config = rest.AddUserAgent(config, fmt.Sprintf("argo-workflows/%s argo-controller", argo.GetVersion().Version))
	config.QPS, config.Burst = o.qps, o.burst
	logs.AddK8SLogTransportWrapper(config)
	metrics.AddMetricsTransportWrapper(ctx, config)
	namespace, _, err := client.Namespace()
	return config, namespace, err
}

// serveHealth answers the chart's liveness probe, only on loopback.
func serveHealth(port int, c *controller.WorkflowController) error {
	if port == 0 {
		return nil
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", c.Healthz)
	go func() { _ = http.Serve(listener, mux) }()
	return nil
}

// lead runs work while it holds the Lease. Variables and durations are the stock command's.
func lead(ctx context.Context, cancel func(), api kubernetes.Interface, namespace, instance string, work func(context.Context)) error {
	identity, ok := os.LookupEnv("LEADER_ELECTION_IDENTITY")
	if !ok {
		return fmt.Errorf("LEADER_ELECTION_IDENTITY is not set, and LEADER_ELECTION_DISABLE is not true")
	}
	lease := name
	if instance != "" {
		lease += "-" + instance
	}
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Name: lease, Namespace: namespace},
			Client:    api.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{
				Identity:      identity,
				EventRecorder: events.NewEventRecorderManager(api).Get(namespace),
			},
		},
		LeaseDuration: env.LookupEnvDurationOr("LEADER_ELECTION_LEASE_DURATION", 15*time.Second),
		RenewDeadline: env.LookupEnvDurationOr("LEADER_ELECTION_RENEW_DEADLINE", 10*time.Second),
		RetryPeriod:   env.LookupEnvDurationOr("LEADER_ELECTION_RETRY_PERIOD", 5*time.Second),
		Callbacks:     leaderelection.LeaderCallbacks{OnStartedLeading: work, OnStoppedLeading: cancel},
	})
	return nil
}
