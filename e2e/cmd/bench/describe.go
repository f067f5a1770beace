// Where and of what a run was.

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"signer.tezos.io/e2e/performance"
	"signer.tezos.io/e2e/performance/measure"
)

func describe(run *performance.Run, options measure.Options) error {
	git := func(args ...string) (string, error) {
		text, err := exec.Command("git", append([]string{"-C", options.Checkout}, args...)...).Output()
		if err != nil {
			err = fmt.Errorf("git %s: %w", args[0], err)
		}
		return strings.TrimSpace(string(text)), err
	}
	var err error
	if run.Revision, err = git("rev-parse", "--short=12", "HEAD"); err != nil {
		return err
	}
	changed, err := git("status", "--porcelain", "--untracked-files=no")
	if err != nil {
		return err
	}
	if changed != "" {
		run.Revision += "+"
	}
	if text, err := os.ReadFile(filepath.Join(filepath.Dir(options.Previous), "revision")); err == nil {
		run.Release = strings.TrimSpace(string(text))
	}
	var kernel unix.Utsname
	if err := unix.Uname(&kernel); err != nil {
		return err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	disk, err := fileSystem(options.Disk)
	run.Machine = performance.Machine{
		Processor: processor(), Cores: runtime.NumCPU(), Kernel: unix.ByteSliceToString(kernel.Release[:]), Load: strings.Fields(string(load))[0], Disk: disk,
	}
	return err
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for _, line := range strings.Split(string(text), "\n") {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// fileSystem is the kind of file system that a path is on.
func fileSystem(path string) (string, error) {
	var found unix.Statfs_t
	if err := unix.Statfs(path, &found); err != nil {
		return "", err
	}
	names := map[int64]string{unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs"}
	if name := names[int64(found.Type)]; name != "" {
		return name, nil
	}
	return fmt.Sprintf("a file system of type %#x", found.Type), nil
}
