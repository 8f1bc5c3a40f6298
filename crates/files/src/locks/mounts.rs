//! Mounts whose locks do not leave the machine. Every process on one machine sees such locks work,
//! so that only the options of the mount tell.

use std::fs::File;

/// Whether the file is on a network file system that is mounted so that other machines do not see
/// its locks.
#[cfg(target_os = "linux")]
pub(super) fn locks_are_local(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;

    let Ok(device) = file.metadata().map(|found| found.dev()) else { return false };
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().any(|mount| is_of(mount, device) && keeps_locks(mount))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn locks_are_local(_file: &File) -> bool {
    false
}

/// Whether a line of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)) is of this device.
#[cfg(target_os = "linux")]
fn is_of(mount: &str, device: u64) -> bool {
    // As the C library packs them.
    let major = ((device >> 8) & 0xfff) | ((device >> 32) & !0xfff);
    let minor = (device & 0xff) | ((device >> 12) & !0xff);
    mount.split(' ').nth(2) == Some(format!("{major}:{}", minor & 0xffff_ffff).as_str())
}

/// Whether its type and options are those of a network file system with local locks: nfs(5),
/// mount.lustre(8), mount.cifs(8), gfs2(5).
#[cfg(target_os = "linux")]
fn keeps_locks(mount: &str) -> bool {
    let Some((_, rest)) = mount.split_once(" - ") else { return false };
    let mut fields = rest.split(' ');
    let (kind, _source, options) = (fields.next(), fields.next(), fields.next());
    let has = |names: &[&str]| {
        options.is_some_and(|options| options.split(',').any(|option| names.contains(&option)))
    };
    match kind {
        Some("nfs" | "nfs4") => has(&["local_lock=all", "local_lock=flock", "nolock"]),
        Some("lustre") => has(&["localflock"]),
        Some("cifs" | "smb3") => has(&["nobrl", "nolock"]),
        Some("gfs2") => has(&["localflocks"]),
        // The mount does not tell; by default its locks are local.
        Some("beegfs" | "fuse.sshfs") => true,
        _ => false,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_found_by_its_device_and_local_locks_by_its_options() {
        let line = |kind: &str, options: &str| {
            format!("36 35 0:57 / /mnt rw,noatime shared:1 - {kind} host:/home {options}")
        };
        for (kind, options, expected) in [
            ("nfs4", "rw,vers=4.2,local_lock=none,addr=10.0.0.1", false),
            ("nfs", "rw,vers=3,local_lock=all,addr=10.0.0.1", true),
            ("nfs", "rw,local_lock=flock", true),
            ("nfs", "rw,local_lock=posix", false),
            ("lustre", "rw,flock,lazystatfs", false),
            ("lustre", "rw,localflock,lazystatfs", true),
            ("cifs", "rw,vers=3.1.1,nobrl", true),
            ("beegfs", "rw,cfgFile=/etc/beegfs/beegfs-client.conf", true),
            ("ext4", "rw,nolock", false),
        ] {
            let line = line(kind, options);
            assert_eq!(keeps_locks(&line), expected, "{line}");
            assert!(is_of(&line, 57) && !is_of(&line, 58) && !is_of(&line, (1 << 8) | 57));
        }
        assert!(is_of("36 35 259:1048576 / / rw - ext4 /dev/a rw", 0x1_0001_0300));
        assert!(!keeps_locks(""));
    }

    #[test]
    fn the_mount_of_an_open_file_is_in_the_list() {
        use std::os::unix::fs::MetadataExt;

        let list = "/proc/self/mountinfo";
        let (file, mounts) = (File::open(list).unwrap(), std::fs::read_to_string(list).unwrap());
        let device = file.metadata().unwrap().dev();
        let own = |mount: &&str| is_of(mount, device) && mount.contains(" - proc ");
        assert!(mounts.lines().find(own).is_some(), "{device}: {mounts}");
        assert!(!locks_are_local(&file));
    }
}
