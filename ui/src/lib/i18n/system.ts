/** What the system and FFmpeg say of an error, in Chinese. They say it in English whatever the person speaks; words
 *  that are not known here stay as they are. */
import type { Language } from "./language";

const CHINESE: Readonly<Record<string, string>> = {
  // The operating system (strerror).
  "Operation not permitted": "系统不允许",
  "No such file or directory": "没有这个文件",
  "Input/output error": "读写出错",
  "No such device or address": "没有这个设备",
  "Resource temporarily unavailable": "暂时不可用",
  "Cannot allocate memory": "内存不足",
  "Permission denied": "没有权限",
  "Device or resource busy": "正被占用",
  "File exists": "文件已存在",
  "No such device": "没有这个设备",
  "Not a directory": "不是文件夹",
  "Is a directory": "是文件夹",
  "Invalid argument": "参数无效",
  "Too many open files": "打开的文件太多",
  "Too many open files in system": "打开的文件太多",
  "Inappropriate ioctl for device": "设备不支持",
  "File too large": "文件太大",
  "No space left on device": "磁盘满了",
  "Disk quota exceeded": "磁盘配额用完了",
  "Read-only file system": "文件系统是只读的",
  "Broken pipe": "连接断了",
  "Function not implemented": "没有这项功能",
  "Operation not supported": "不支持",
  "Address already in use": "地址已被占用",
  "Cannot assign requested address": "这台电脑没有这个地址",
  "Network is unreachable": "网络不通",
  "Connection refused": "连接被拒绝",
  "Connection reset by peer": "连接被对方断开",
  "Connection timed out": "连接超时",
  "No route to host": "到不了那台电脑",
  // FFmpeg.
  "Bitstream filter not found": "缺少码流过滤器",
  "Decoder not found": "缺少解码器",
  "Demuxer not found": "缺少解封装器",
  "Encoder not found": "缺少编码器",
  "End of file": "内容不完整",
  "Generic error in an external library": "外部库出错",
  "Internal bug, also see AVERROR_BUG2": "内部错误",
  "Invalid data found when processing input": "内容无法识别",
  "Not yet implemented in FFmpeg, patches welcome": "FFmpeg 还不支持",
  "Option not found": "没有这个选项",
  "Protocol not found": "没有这种协议",
  "Unknown error occurred": "未知错误",
  // The sound service.
  "The requested audio host is not available. The subsystem or daemon may not be installed or running":
    "声音服务没有安装或没有运行",
  "The requested audio device is not available. It may have been disconnected": "没有接着声音设备",
  "The requested stream configuration is not supported by the device": "它的声音格式用不了",
  // Ours, of files.
  "it is empty": "是空的",
  "it is text": "是文本",
  "its name is not valid Unicode": "文件名不是有效的 Unicode",
  // SQLite.
  "attempt to write a readonly database": "数据库是只读的",
  "database disk image is malformed": "数据库损坏了",
  "database is locked": "数据库正被占用",
  "database or disk is full": "磁盘满了",
  "disk I/O error": "磁盘读写出错",
  "unable to open database file": "打不开数据库",
};

/** The system's words as they can stand in a sentence of this language. */
export function systemWords(language: Language, said: string): string {
  // Rust adds the number, which tells a person nothing.
  const words = said.replace(/ \(os error \d+\)/, "").replace(/[.。]$/, "");
  return language === "zh-CN" ? (CHINESE[words] ?? words) : words;
}
